// The log: a page with a live tail, and the lines of a trace beside its waterfall.
'use strict';

let refreshLogs = null;

function logTable(lines, withoutTrace) {
  return el('div', { class: 'scroll' }, el('table', { class: 'log' }, el('tbody', {}, lines.map((line) =>
    el('tr', { class: 'level-' + line.level },
      el('td', { class: 'time' }, new Date(line.at_us / 1000).toISOString().slice(11, 23)),
      el('td', {}, line.level),
      el('td', { class: 'wide' }, line.process),
      el('td', { class: 'wide' }, line.module ? el('a', { href: '#/module/' + encodeURIComponent(line.module) },
        line.module + (line.method ? '.' + line.method : line.work ? ' (' + line.work + ')' : '')) : line.target),
      el('td', { class: 'message' }, line.message, Object.entries(line.fields || {}).map(([name, value]) =>
        el('span', { class: 'quiet' }, ' ' + name + '=' + value))),
      withoutTrace ? null : el('td', {}, line.trace_id ? el('a', { href: '#/trace/' + line.trace_id,
        title: line.trace_id }, 'trace') : ''))))));
}

async function logsOfTrace(id, place) {
  try {
    const { lines } = await ask('/api/logs?limit=500&trace=' + id);
    place.replaceChildren(lines.length ? logTable(lines, true)
      : el('p', { class: 'quiet' }, 'No lines of this trace are in memory.'));
  } catch (error) {
    place.replaceChildren(alertOf(error));
  }
}

const logFilters = [
  { key: 'module', label: 'module' },
  { key: 'text', label: 'text' },
  { key: 'process', label: 'process' },
  { key: 'trace', label: 'trace' },
];

async function showLogs(query) {
  const asked = new URLSearchParams(query);
  const list = el('div', { id: 'lines' });
  let cleared = 0;
  let latestLines = [];
  const go = () => {
    const next = new URLSearchParams();
    for (const field of view.querySelectorAll('[name]')) if (field.value) next.set(field.name, field.value);
    location.hash = '#/logs?' + next;
  };
  const level = asked.get('level') || '';
  show(
    el('form', { class: 'filters', onsubmit: (event) => { event.preventDefault(); go(); } },
      el('label', {}, 'level', el('select', { name: 'level', onchange: go },
        ['', 'error', 'warn', 'info', 'debug'].map((one) =>
          el('option', { value: one, selected: one === level }, one ? one + ' and above' : 'all')))),
      logFilters.map((filter) => el('label', {}, filter.label,
        el('input', { name: filter.key, size: 12, value: asked.get(filter.key) || '' }))),
      el('button', { type: 'submit' }, 'Filter'), pauseButton(),
      el('button', { type: 'button', onclick: () => { cleared = Date.now() * 1000; refreshLogs?.(); } }, 'Clear'),
      saving(() => latestLines, 'log.json')),
    list);
  const refresh = async () => {
    const sent = new URLSearchParams(asked);
    sent.set('limit', '300');
    if (cleared) sent.set('since_us', String(cleared));
    try {
      const { lines, missing } = await ask('/api/logs?' + sent);
      latestLines = lines;
      list.replaceChildren(...[
        missing?.length ? el('p', { role: 'alert' }, 'No answer from: ' + missing.join(', ')) : null,
        lines.length ? logTable([...lines].reverse()) : el('p', { class: 'quiet' }, 'No lines.'),
      ].filter(Boolean));
    } catch (error) {
      list.replaceChildren(alertOf(error));
    }
  };
  await refresh();
  refreshLogs = refresh;
}
