// The dashboard. It shows what the read API says; every figure and the map come from there.
'use strict';

const view = document.getElementById('view');
const live = document.getElementById('live');
let facts = null;
let latest = null;
let paused = false;

// Elements are built, never written as HTML, so no text of a trace can become markup.
function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child != null));
  return made;
}

function show(...children) {
  view.replaceChildren(...children.flat().filter((child) => child != null));
}

async function ask(path) {
  const response = await fetch(path, { headers: { accept: 'application/json' } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail || response.statusText);
  return body;
}

function duration(nanos) {
  if (nanos >= 1e9) return (nanos / 1e9).toFixed(2) + ' s';
  if (nanos >= 1e6) return (nanos / 1e6).toFixed(2) + ' ms';
  return (nanos / 1e3).toFixed(1) + ' µs';
}

function table(columns, rows) {
  const head = el('tr', {}, columns.map((column) => el('th', { class: column.class }, column.name)));
  const body = rows.map((row) => el('tr', { class: row.bad ? 'bad' : '' },
    columns.map((column) => el('td', { class: column.class }, column.show(row)))));
  return el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, head), el('tbody', {}, body)));
}

// --- the map ---

function showMap() {
  const map = el('div', { class: 'map scroll', id: 'map' });
  const states = el('div', { id: 'states', class: 'cards' });
  show(map,
    el('p', { class: 'legend' }, 'Solid arrows are calls within a process, dashed ones cross a network, red ones fail. ',
      'Each shows calls a second and the p99. Dotted arrows are events, from publisher to listener. ',
      'Select a module for its methods.'),
    el('p', { class: 'quiet', id: 'circles' }),
    el('h2', {}, 'Processes'), states);
  drawMap();
}

function drawMap() {
  const map = document.getElementById('map');
  if (!map || !latest) return;
  const focused = document.activeElement?.dataset?.module;
  const parsed = new DOMParser().parseFromString(latest.map, 'image/svg+xml').documentElement;
  map.replaceChildren(document.importNode(parsed, true));
  for (const module of map.querySelectorAll('.module')) {
    const open = () => { location.hash = '#/module/' + encodeURIComponent(module.dataset.module); };
    module.addEventListener('click', open);
    module.addEventListener('keydown', (event) => { if (event.key === 'Enter' || event.key === ' ') open(); });
    if (module.dataset.module === focused) module.focus();
  }
  document.getElementById('circles').textContent = latest.circles.map((circle) =>
    'Events go in a circle: ' + circle.join(', ') + '. ').join('');
  const states = document.getElementById('states');
  states.replaceChildren(...latest.processes.map((state) => el('div', { class: 'card' },
    el('strong', {}, state.process), ' ', el('span', { class: 'quiet' }, 'pid ' + state.pid),
    el('div', {}, state.ready ? 'ready' : 'waits for ' + state.waiting_for.join(', ')),
    el('div', { class: 'quiet' }, (state.resident / 1048576).toFixed(0) + ' MiB resident'),
    state.others.map((other) => el('div', {}, 'calls ' + other.process + ': ', other.replicas.map((replica) =>
      el('span', { class: replica.connected ? 'quiet' : '', title: replica.address },
        (replica.connected ? (replica.ejected ? '◐ ' : '● ') : '○ ') + replica.address + ' ')))))));
}

// --- a module ---

function calls() {
  return (latest?.processes || []).flatMap((state) =>
    state.calls.map((call) => ({ ...call, process: state.process, pid: state.pid })));
}

const callColumns = [
  { name: 'caller', show: (row) => row.caller },
  { name: 'method', show: (row) => row.module + '.' + row.method },
  { name: 'placement', class: 'wide', show: (row) => row.placement },
  { name: 'process', class: 'wide', show: (row) => row.process },
  { name: 'calls', class: 'n', show: (row) => (row.answered + row.failed + row.dropped).toLocaleString('en') },
  { name: 'failed', class: 'n', show: (row) => row.failed.toLocaleString('en') },
  { name: 'p50', class: 'n', show: (row) => duration(row.p50_us * 1e3) },
  { name: 'p99', class: 'n', show: (row) => duration(row.p99_us * 1e3) },
];

function showModule(name) {
  const interfaces = (facts?.interfaces || []).filter((one) => one.module === name);
  const database = (facts?.databases || []).filter((one) => one.module === name);
  const settings = (facts?.settings || []).filter((one) => one.key.startsWith(name + '.'));
  const used = (facts?.calls?.[name] || []);
  const by = Object.entries(facts?.calls || {}).filter(([, called]) => called.includes(name)).map(([caller]) => caller);
  const traffic = el('div', { id: 'traffic' });
  const work = el('div', { id: 'work' });
  const errors = el('div', { id: 'errors' });
  const byHand = el('div', { id: 'by-hand' });
  show(
    el('h2', {}, name),
    el('p', {}, 'In the process ', el('strong', {}, facts?.placed?.[name] || '?'), '. Calls ',
      used.length ? used.join(', ') : 'no module', '. Is called by ', by.length ? by.join(', ') : 'no module', '. ',
      el('a', { href: '#/traces?module=' + encodeURIComponent(name) }, 'Its traces'), ', ',
      el('a', { href: '#/logs?module=' + encodeURIComponent(name) }, 'its log')),
    database.map((one) => el('p', { class: 'mono' }, one.database)),
    interfaces.map((one) => el('section', {}, el('h2', {}, one.name), el('p', { class: 'quiet' }, one.docs.trim()),
      table([
        { name: 'method', show: (row) => el('code', {}, row.name) },
        { name: 'route', show: (row) => row.route ? el('code', {}, row.route) : '' },
        { name: '', class: 'wide', show: (row) => row.docs.trim().split('\n')[0] },
      ], one.methods))),
    el('h2', {}, 'Calls so far'), traffic,
    el('h2', {}, 'Durable work'), work,
    el('h2', {}, 'Recent warnings and errors'), errors,
    el('h2', {}, 'Call a method'), byHand,
    settings.length ? [el('h2', {}, 'Settings'), settingsTable(settings)] : null);
  drawTraffic = () => traffic.replaceChildren(table(callColumns, calls()
    .filter((row) => row.module === name || row.caller === name).map((row) => ({ ...row, bad: row.failed > 0 }))));
  drawTraffic();
  workOf(name, work);
  errorsOf(name, errors);
  callsOf(name, byHand);
}

let drawTraffic = () => {};

function settingsTable(settings) {
  return table([
    { name: 'setting', show: (row) => el('code', {}, row.key) },
    { name: 'in force', show: (row) => row.value ?? el('span', { class: 'quiet' }, 'default') },
    { name: 'from', show: (row) => row.origin || el('span', { class: 'quiet' }, 'default') },
  ], settings);
}

function showSettings() {
  show(el('h2', {}, 'Settings of ' + (facts?.process || '') + ', secrets left out'),
    settingsTable(facts?.settings || []));
}

function showCalls() {
  const traffic = el('div', {});
  show(el('h2', {}, 'Calls so far, in every process that answers'), traffic);
  drawTraffic = () => traffic.replaceChildren(table(callColumns, calls().filter((row) => row.module !== 'monolift')
    .map((row) => ({ ...row, bad: row.failed > 0 }))));
  drawTraffic();
}

// --- traces ---

const filters = [
  { key: 'route', label: 'route has', type: 'text' },
  { key: 'module', label: 'module', type: 'text' },
  { key: 'has', label: 'method, SQL, process or outcome', type: 'text' },
  { key: 'min_ms', label: 'at least ms', type: 'number' },
  { key: 'max_ms', label: 'at most ms', type: 'number' },
];

function isTyping() {
  return ['INPUT', 'SELECT', 'TEXTAREA'].includes(document.activeElement?.tagName);
}

function pauseButton() {
  return el('button', { type: 'button', id: 'pause', 'aria-pressed': String(paused), onclick: (event) => {
    paused = !paused;
    event.currentTarget.textContent = paused ? 'Resume' : 'Pause';
    event.currentTarget.setAttribute('aria-pressed', String(paused));
  } }, paused ? 'Resume' : 'Pause');
}

// What is shown, to the clipboard or as a file.
function saving(shown, name) {
  const text = () => JSON.stringify(shown(), null, 2);
  return [
    el('button', { type: 'button', onclick: () => navigator.clipboard?.writeText(text()) }, 'Copy'),
    el('button', { type: 'button', onclick: () => {
      const href = URL.createObjectURL(new Blob([text()], { type: 'application/json' }));
      el('a', { href, download: name }).click();
      URL.revokeObjectURL(href);
    } }, 'Download as JSON'),
  ];
}

async function showTraces(query) {
  const asked = new URLSearchParams(query);
  const which = asked.get('of') || 'requests';
  const minutes = asked.get('minutes') || '';
  let cleared = 0;
  let latestTraces = [];
  const list = el('div', {}, el('p', { class: 'quiet' }, '…'));
  const go = () => {
    const next = new URLSearchParams();
    for (const field of view.querySelectorAll('[name]')) if (field.value) next.set(field.name, field.value);
    location.hash = '#/traces?' + next;
  };
  const option = (value, text, chosen) => el('option', { value, selected: value === chosen }, text);
  show(
    el('form', { class: 'filters', onsubmit: (event) => { event.preventDefault(); go(); } },
      el('label', {}, 'show', el('select', { name: 'of', onchange: go },
        option('requests', 'the latest requests', which), option('traces', 'kept: failed, slow, sampled', which))),
      filters.map((filter) => el('label', {}, filter.label,
        el('input', { name: filter.key, type: filter.type, size: 10, min: 0, step: 'any', value: asked.get(filter.key) || '' }))),
      el('label', {}, 'outcome', el('select', { name: 'failed', onchange: go },
        option('', 'any', asked.get('failed') || ''), option('true', 'failed', asked.get('failed')),
        option('false', 'not failed', asked.get('failed')))),
      el('label', {}, 'recurring work', el('select', { name: 'recurring', onchange: go },
        option('', 'if it failed or was slow', asked.get('recurring') || ''), option('true', 'all', asked.get('recurring')))),
      el('label', {}, 'began', el('select', { name: 'minutes', onchange: go },
        option('', 'any time', minutes), option('1', 'in the last minute', minutes),
        option('10', 'in the last 10 minutes', minutes), option('60', 'in the last hour', minutes))),
      el('button', { type: 'submit' }, 'Filter'), pauseButton(),
      el('button', { type: 'button', onclick: () => { cleared = Date.now() * 1000; refreshTraces?.(); } }, 'Clear'),
      saving(() => latestTraces, 'traces.json'),
      el('label', {}, 'two traces side by side', el('input', { type: 'file', accept: '.json', multiple: true,
        onchange: (event) => compare(event.target.files) }))),
    list);
  const refresh = async () => {
    const sent = new URLSearchParams(asked);
    sent.delete('of');
    sent.delete('minutes');
    const since = minutes ? (Date.now() - Number(minutes) * 60000) * 1000 : 0;
    if (since || cleared) sent.set('since_us', String(Math.max(since, cleared)));
    try {
      const found = await ask('/api/' + which + '?' + sent);
      latestTraces = found[which];
      const silent = (found.missing || []).map((process) => el('p', { class: 'quiet' }, 'no answer from the process ' + process));
      list.replaceChildren(traceList(found[which]), ...silent, found.passed_over
        ? el('p', { class: 'quiet' }, found.passed_over + ' more were not kept: there were too many at once') : '');
    } catch (error) {
      list.replaceChildren(el('p', { role: 'alert' }, String(error.message)));
    }
  };
  await refresh();
  refreshTraces = refresh;
}

let refreshTraces = null;

function traceList(traces) {
  if (!traces.length) return el('p', { class: 'quiet' }, 'None yet. Send the application a request.');
  return table([
    { name: 'at', class: 'wide', show: (row) => new Date(row.began_us / 1000).toLocaleTimeString() },
    { name: 'what', show: (row) => el('a', { href: '#/trace/' + row.trace_id }, row.name) },
    { name: 'status', class: 'n', show: (row) => row.status ?? '' },
    { name: 'took', class: 'n', show: (row) => duration(row.ms * 1e6) },
    { name: 'calls', class: 'n wide', show: (row) => row.calls },
    { name: 'because', class: 'wide', show: (row) => row.because || '' },
    { name: 'modules', class: 'wide', show: (row) => row.modules.join(', ') },
  ], traces.map((trace) => ({ ...trace, bad: trace.failed })));
}

async function showTrace(id) {
  show(el('p', { class: 'quiet' }, '…'));
  const trace = await ask('/api/traces/' + id);
  const lines = el('div', {});
  const text = JSON.stringify(trace, null, 2);
  const file = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  show(
    el('p', {}, el('code', {}, id), ' ',
      el('button', { type: 'button', onclick: () => navigator.clipboard?.writeText(text) }, 'Copy'), ' ',
      el('a', { href: file, download: 'trace-' + id + '.json' }, 'Download as JSON')),
    trace.missing?.length ? el('p', { role: 'alert' }, 'No answer from: ' + trace.missing.join(', ')) : null,
    waterfall(trace), el('h2', {}, 'Log'), lines);
  await logsOfTrace(id, lines);
}

// Rows of a trace: parts, their calls and statements, each below the one that made it.
function rows(trace) {
  const found = [];
  const first = trace.parts[0];
  const served = new Map(trace.parts.slice(1).map((part) => [part.span, part]));
  const shown = new Set();
  const add = (part, parent, depth, offset) => {
    const below = [
      ...part.calls.filter((call) => call.parent === parent).map((call) => ({ at: call.began, call })),
      ...(part.statements || []).filter((one) => one.span === parent).map((one) => ({ at: one.began, statement: one })),
    ].sort((a, b) => a.at - b.at);
    for (const { call, statement } of below) {
      if (statement) {
        found.push({ what: statement.text, kind: 'sql', depth, began: offset + statement.began, nanos: statement.nanos,
          process: part.process, note: statement.rows + ' rows' });
        continue;
      }
      const answer = call.remote ? served.get(call.span) : null;
      const bad = !['answered', 'declared'].includes(call.outcome);
      const within = answer ? answer.nanos : 0;
      found.push({ what: call.module + '.' + call.method, kind: call.remote ? 'remote' : 'call', depth, bad,
        began: offset + call.began, nanos: call.nanos, untimed: call.untimed, process: part.process, outcome: call.outcome,
        note: call.remote ? (answer ? 'crossing: ' + duration(Math.max(call.nanos - within, 0)) : 'to another process') : '' });
      if (answer && !shown.has(answer)) {
        shown.add(answer);
        // The clocks of two machines differ; the served part is placed in the middle of its call.
        add(answer, answer.span, depth + 1, offset + call.began + Math.max(call.nanos - within, 0) / 2);
      }
      add(part, call.span, depth + 1, offset);
    }
  };
  add(first, first.span, 1, 0);
  const name = Object.values(first.entry)[0];
  return [{ what: name, kind: 'call', depth: 0, began: 0, nanos: first.nanos, process: first.process,
    bad: first.status >= 500, outcome: first.status ?? '', note: '' }, ...found];
}

function waterfall(trace, differences) {
  const all = rows(trace);
  const whole = Math.max(...all.map((row) => row.began + row.nanos), 1);
  const bars = all.map((row) => {
    const bar = el('div', { class: 'bar ' + (row.kind === 'call' ? '' : row.kind) + (row.bad ? ' bad' : '') });
    bar.style.left = (100 * row.began / whole) + '%';
    bar.style.width = (100 * row.nanos / whole) + '%';
    const what = el('span', { class: 'what', title: row.what }, row.kind === 'sql' ? el('code', {}, row.what) : row.what,
      el('span', { class: 'quiet' }, ' ' + [row.process, row.outcome === 'answered' ? '' : row.outcome, row.note].filter(Boolean).join(' · ')));
    what.style.paddingLeft = row.depth + 'rem';
    const differs = differences && !differences.has(row.what);
    return el('div', { class: 'row' + (row.bad || differs ? ' bad' : '') }, what, el('div', { class: 'lane' }, bar),
      el('span', { class: 'time', title: row.untimed ? 'one in sixteen calls of a fast method is timed' : '' },
        row.untimed ? 'fast' : duration(row.nanos)));
  });
  return el('div', { class: 'fall' }, bars);
}

async function compare(files) {
  const traces = await Promise.all([...files].slice(0, 2).map(async (file) => JSON.parse(await file.text())));
  const names = traces.map((trace) => new Set(rows(trace).map((row) => row.what)));
  show(el('p', {}, 'What only one of the two has is red.'),
    el('div', { class: 'two' }, traces.map((trace, at) => el('section', {},
      el('h2', {}, new Set(trace.parts.map((part) => part.process)).size + ' processes, ' + duration(trace.parts[0].nanos)),
      waterfall(trace, names[1 - at])))));
}

// --- where one is ---

async function route() {
  const [path, query] = location.hash.slice(2).split('?');
  const [what, ...rest] = (path || 'map').split('/');
  drawTraffic = () => {};
  refreshTraces = null;
  refreshLogs = null;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === '#/' + what) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  try {
    if (what === 'traces') await showTraces(query);
    else if (what === 'logs') await showLogs(query);
    else if (what === 'trace') await showTrace(rest[0]);
    else if (what === 'module') showModule(decodeURIComponent(rest.join('/')));
    else if (what === 'calls') showCalls();
    else if (what === 'settings') showSettings();
    else showMap();
  } catch (error) {
    show(el('p', { role: 'alert' }, String(error.message)));
  }
}

function listen() {
  const events = new EventSource('/api/watch');
  events.addEventListener('application', (event) => {
    latest = JSON.parse(event.data);
    live.textContent = 'live';
    live.className = '';
    drawMap();
    drawTraffic();
    // A form that is filled in stays as it is.
    if (paused || isTyping()) return;
    refreshTraces?.();
    refreshLogs?.();
  });
  events.onerror = () => {
    live.textContent = 'no answer: the process has stopped, or is starting';
    live.className = 'lost';
  };
}

// Keys, as long as nothing is filled in: the views, the first filter, a pause.
const keys = { m: '#/map', t: '#/traces', l: '#/logs', c: '#/calls', s: '#/settings' };
addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && isTyping()) return document.activeElement.blur();
  if (isTyping() || event.ctrlKey || event.metaKey || event.altKey) return;
  if (keys[event.key]) location.hash = keys[event.key];
  else if (event.key === 'p') document.getElementById('pause')?.click();
  else if (event.key === '/') {
    event.preventDefault();
    view.querySelector('input, select')?.focus();
  }
});

addEventListener('hashchange', route);
ask('/api/process').then((found) => {
  facts = found;
  document.title = found.app + ' · ' + found.process;
  document.getElementById('app').textContent = found.app;
  return route();
}).catch((error) => show(el('p', { role: 'alert' }, String(error.message))));
listen();
