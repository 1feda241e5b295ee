// On a module's page: its durable work, its recent errors, and calls by hand.
'use strict';

// Whose change it is, for the log. No other site's page may send this header.
async function send(path, body) {
  const headers = { 'content-type': 'application/json', 'x-monolift-user': 'the dashboard' };
  const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail || response.statusText);
  return answer;
}

function ago(millis) {
  const units = [['d', 86400000], ['h', 3600000], ['min', 60000], ['s', 1000]];
  const [name, length] = units.find(([, length]) => millis >= 2 * length) || ['s', 1000];
  return Math.floor(millis / length) + ' ' + name;
}

function alertOf(error) {
  return el('p', { role: 'alert' }, String(error.message));
}

// A button that asks once more before it does what cannot be undone.
function twice(text, action) {
  let sure = false;
  return el('button', { type: 'button', onclick: (event) => {
    if (sure) return action();
    sure = true;
    event.currentTarget.textContent = 'Really ' + text.toLowerCase() + '?';
  } }, text);
}

function stands(piece) {
  if (piece.state === 'parked') return 'parked for ' + ago(piece.parked_for_ms);
  if (piece.state === 'running') return 'running';
  return piece.next_attempt_in_ms > 0 ? 'next in ' + ago(piece.next_attempt_in_ms) : 'due';
}

// --- durable work ---

async function workOf(module, place) {
  const path = '/api/work/' + encodeURIComponent(module);
  const said = el('p', { role: 'status' });
  let work;
  try {
    work = await ask(path);
  } catch (error) {
    place.replaceChildren(el('p', { class: 'quiet' }, String(error.message)));
    return;
  }
  const change = async (what, body) => {
    try {
      const { changed } = await send(path + '/' + what, body);
      await workOf(module, place);
      place.prepend(el('p', { role: 'status' }, changed + (what === 'retry' ? ' run again' : ' given up')));
    } catch (error) {
      said.textContent = String(error.message);
    }
  };
  const kinds = table([
    { name: 'kind', show: (row) => row.kind },
    { name: 'waiting', class: 'n', show: (row) => row.waiting },
    { name: 'running', class: 'n', show: (row) => row.running },
    { name: 'failing', class: 'n', show: (row) => row.failing },
    { name: 'parked', class: 'n', show: (row) => row.parked },
  ], work.kinds.map((kind) => ({ ...kind, bad: kind.parked > 0 })));
  const parked = work.pieces.some((piece) => piece.state === 'parked');
  const pieces = table([
    { name: 'piece', show: (row) => el('code', { title: row.id }, row.id.slice(0, 8)) },
    { name: 'kind', show: (row) => row.kind },
    { name: 'stands', show: stands },
    { name: 'attempts', class: 'n', show: (row) => row.attempts },
    { name: 'last error', show: (row) => row.error || '' },
    { name: 'payload', class: 'wide', show: (row) => [row.payload_bytes + ' bytes ', el('code', {}, row.payload_outline)] },
    { name: '', class: 'wide', show: (row) => row.trace_id ? el('a', { href: '#/trace/' + row.trace_id }, 'trace') : '' },
    { name: '', show: (row) => row.state !== 'parked' ? '' : el('span', { class: 'doing' },
      el('button', { type: 'button', onclick: () => change('retry', { id: row.id }) }, 'Retry'),
      twice('Discard', () => change('discard', { id: row.id }))) },
  ], work.pieces.map((piece) => ({ ...piece, bad: piece.state === 'parked' })));
  place.replaceChildren(...[
    work.kinds.length ? kinds : el('p', { class: 'quiet' }, 'None.'),
    work.pieces.length ? pieces : null,
    parked ? twice('Retry all that is parked', () => change('retry', { all: true })) : null,
    el('button', { type: 'button', onclick: () => workOf(module, place) }, 'Look again'), said,
  ].filter(Boolean));
}

// --- a call by hand ---

// A schema with what it refers to in its place. Of several types, the first that is not null.
function resolved(schema, definitions) {
  let found = schema;
  for (let depth = 0; depth < 8 && found && typeof found === 'object'; depth += 1) {
    const name = found.$ref?.split('/').pop();
    const one = (found.anyOf || found.oneOf)?.find((each) => each.type !== 'null');
    if (name && definitions[name]) found = { ...definitions[name], description: found.description };
    else if (one && (found.anyOf || found.oneOf).length === 2) found = { ...one, optional: true };
    else break;
  }
  if (!found || typeof found !== 'object') return {};
  const types = [found.type].flat();
  const type = types.find((each) => each !== 'null');
  return { ...found, type, optional: found.optional || types.includes('null') };
}

// A field for an argument, and what was put in there. `undefined` is left out.
function fieldOf(name, schema, example, definitions) {
  const is = resolved(schema, definitions);
  const id = 'argument-' + name;
  const text = example == null ? '' : typeof example === 'string' ? example : JSON.stringify(example, null, 2);
  const label = el('label', { for: id }, name, is.optional ? ' (may be empty)' : '');
  const given = (input) => input.value === '' && is.optional;
  if (is.enum?.every((value) => typeof value === 'string')) {
    const input = el('select', { id }, is.optional ? el('option', { value: '' }, '') : null,
      is.enum.map((value) => el('option', { value, selected: value === example }, value)));
    return { row: el('div', {}, label, input), value: () => given(input) ? undefined : input.value };
  }
  if (is.type === 'boolean') {
    const input = el('input', { id, type: 'checkbox', checked: example === true });
    return { row: el('div', {}, label, input), value: () => input.checked };
  }
  if (is.type === 'string' || is.type === 'integer' || is.type === 'number') {
    const isText = is.type === 'string';
    const input = el('input', { id, type: isText ? 'text' : 'number', step: 'any', value: text });
    const value = () => given(input) || (!isText && input.value === '') ? undefined
      : isText ? input.value : Number(input.value);
    return { row: el('div', {}, label, input), value };
  }
  const input = el('textarea', { id, rows: Math.min(12, text.split('\n').length + 1), spellcheck: 'false' });
  input.value = text;
  return { row: el('div', {}, label, ' JSON', input), value: () => {
    if (input.value.trim() === '') return undefined;
    try {
      return JSON.parse(input.value);
    } catch (error) {
      throw new Error(name + ' is no JSON: ' + error.message);
    }
  } };
}

async function callsOf(module, place) {
  let all;
  try {
    all = (await ask('/api/methods')).methods.filter((one) => one.module === module);
  } catch (error) {
    place.replaceChildren(el('p', { class: 'quiet' }, String(error.message)));
    return;
  }
  if (!all.length) return place.replaceChildren(el('p', { class: 'quiet' }, 'It has no methods.'));
  const form = el('div', { class: 'arguments' });
  const answer = el('div', { 'aria-live': 'polite' });
  let chosen = null;
  let fields = [];
  const choose = (name) => {
    chosen = all.find((one) => one.method === name);
    fields = Object.entries(chosen.arguments).map(([argument, schema]) =>
      [argument, fieldOf(argument, schema, chosen.example[argument], chosen.definitions || {})]);
    form.replaceChildren(el('p', { class: 'quiet' }, chosen.docs.trim().split('\n')[0],
      chosen.idempotent ? '' : ' Each call may change something.'), ...fields.map(([, field]) => field.row));
    answer.replaceChildren();
  };
  const call = async (event) => {
    event.preventDefault();
    answer.replaceChildren(el('p', { class: 'quiet' }, '…'));
    try {
      const values = fields.map(([argument, field]) => [argument, field.value()]);
      const given = Object.fromEntries(values.filter(([, value]) => value !== undefined));
      const found = await send('/api/call', { method: chosen.method, arguments: given });
      answer.replaceChildren(
        el('p', { class: found.status < 400 ? '' : 'failed' }, found.status + ' in ' + duration(found.ms * 1e6) + ' ',
          el('a', { href: '#/trace/' + found.trace_id }, 'trace')),
        el('pre', {}, JSON.stringify(found.answer, null, 2)));
    } catch (error) {
      answer.replaceChildren(alertOf(error));
    }
  };
  const select = el('select', { id: 'method', onchange: (event) => choose(event.currentTarget.value) },
    all.map((one) => el('option', { value: one.method }, one.method)));
  place.replaceChildren(el('form', { class: 'call', onsubmit: call },
    el('label', { for: 'method' }, 'method'), select, form, el('button', { type: 'submit' }, 'Call')), answer);
  choose(all[0].method);
}

// --- recent errors ---

async function errorsOf(module, place) {
  try {
    const { lines } = await ask('/api/logs?level=warn&limit=20&module=' + encodeURIComponent(module));
    place.replaceChildren(lines.length ? logTable(lines.reverse()) : el('p', { class: 'quiet' }, 'None in memory.'));
  } catch (error) {
    place.replaceChildren(alertOf(error));
  }
}
