// The tables. Rows stay in place while they are shown, so that the focus and a selection stay too.

export const byId = (id) => document.getElementById(id);

export function update(node, text) {
  if (node.textContent !== `${text}`) node.textContent = text;
}

export function showText(id, text) {
  byId(id).hidden = !text;
  update(byId(id), text ?? "");
}

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "unknown";
  if (seconds < 1) return seconds === 0 ? "0 s" : "< 1 s";
  const [unit, size] = UNITS.find(([, size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit}`;
}

export const since = (time) => duration(Math.max(0, (Date.now() - new Date(time)) / 1000));

const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
export const moment = (time) => full.format(new Date(time));

export function showFacts(id, facts) {
  const list = byId(id);
  facts.forEach(([name, value, isBad], i) => {
    let item = list.children[i];
    if (!item) {
      item = document.createElement("div");
      item.append(document.createElement("dt"), document.createElement("dd"));
      list.append(item);
    }
    update(item.firstChild, name);
    update(item.lastChild, value);
    item.lastChild.classList.toggle("bad", isBad);
  });
}

// `rows`: each with a key, the texts of its cells, and its actions: [text, accessible name, function, is dangerous].
export function showRows(id, rows) {
  const table = byId(id);
  const body = table.tBodies[0];
  const labels = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const focused = document.activeElement;
  const index = [...body.rows].findIndex((row) => row.contains(focused));
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const kept = rows.map((row) => fill(known.get(row.key) ?? newRow(row.key, labels), row));
  [...body.rows].forEach((row) => kept.includes(row) || row.remove());
  kept.forEach((row, i) => body.rows[i] === row || body.insertBefore(row, body.rows[i] ?? null));
  table.hidden = rows.length === 0;
  byId(`${id}-empty`).hidden = rows.length > 0;
  if (index < 0 || document.activeElement === focused) return;
  // The focus was on a row that is gone, or on a button that another one has replaced.
  const next = body.rows[Math.min(index, body.rows.length - 1)];
  (next?.querySelector("button") ?? byId(`${id}-title`) ?? byId("main")).focus();
}

function newRow(key, labels) {
  const row = document.createElement("tr");
  row.setAttribute("role", "row");
  row.dataset.key = key;
  labels.forEach((label, i) => {
    const cell = row.insertCell();
    cell.setAttribute("role", "cell");
    cell.dataset.label = label;
    if (i === labels.length - 1) cell.className = "actions";
    else cell.append(document.createElement("bdi"));
  });
  return row;
}

function fill(row, { cells, state, actions }) {
  cells.forEach((text, i) => update(row.cells[i].firstChild, text));
  const last = row.cells[cells.length];
  if (state) row.cells[state.cell].firstChild.dataset.state = state.name;
  actions.forEach(([text, name, run, isDanger], i) => {
    let button = last.children[i];
    if (!button) {
      button = document.createElement("button");
      button.type = "button";
      last.append(button);
    }
    update(button, text);
    button.setAttribute("aria-label", name);
    button.classList.toggle("danger", Boolean(isDanger));
    button.onclick = () => run(button);
  });
  while (last.children.length > actions.length) last.lastChild.remove();
  return row;
}
