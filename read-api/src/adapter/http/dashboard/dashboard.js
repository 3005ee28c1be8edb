// Shows a customer's orders, and keeps what is shown as it is now. Where we are stands in the fragment, which no server sees:
// #customer=alice&status=paid&cursor=…

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;
// The server sends something every 5 seconds.
const SILENCE = 12_000;
// A page grows while it is live; one that has become so long is loaded anew.
const LONGEST_PAGE = 100;

const byId = (id) => document.getElementById(id);
const rows = byId("list").tBodies[0];
const money = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

// What is shown: the place, whether there are older orders than those in the rows, and the highest version of each order.
let here = { customer: "", statuses: [], cursor: null };
let hasOlder = false;
let isStale = false;
let versions = new Map();
let leave = new AbortController();

// --- Asking

class Problem extends Error {
  constructor(status, { title, detail, errors = [] }) {
    const faults = errors.map((fault) => `${fault.parameter ?? fault.header ?? ""} ${fault.detail}`);
    super([detail ?? title, ...faults].join(" "));
    this.isFinal = status < 500;
  }
}

async function ask(path, signal) {
  const response = await fetch(path, { signal });
  if (response.ok) return response;
  throw new Problem(response.status, await response.json().catch(() => ({ title: `The server answered ${response.status}.` })));
}

const customerPath = () => `/customers/${encodeURIComponent(here.customer)}/orders`;

// The events of the stream, from behind the one with the id `last`. Ends when the connection does, or has been silent for too long.
async function* events(last, signal) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE);
  try {
    const query = last ? `?${new URLSearchParams({ last_event_id: last })}` : "";
    const response = await ask(`${customerPath()}/stream${query}`, AbortSignal.any([signal, silence.signal]));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
      const blocks = (text + part.value).split("\n\n");
      text = blocks.pop();
      yield* blocks.map(parse).filter((event) => event.event);
    }
  } finally {
    clearTimeout(timer);
    // Whoever stops listening hangs up.
    silence.abort();
  }
}

function parse(block) {
  return Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
}

// --- Going somewhere

function placeOf(fragment) {
  const parameters = new URLSearchParams(fragment);
  return { customer: parameters.get("customer") ?? "", statuses: parameters.getAll("status"), cursor: parameters.get("cursor") };
}

function fragmentOf({ customer, statuses, cursor }) {
  const parameters = new URLSearchParams({ customer });
  statuses.forEach((status) => parameters.append("status", status));
  if (cursor) parameters.set("cursor", cursor);
  return `#${parameters}`;
}

function go() {
  leave.abort();
  leave = new AbortController();
  here = placeOf(location.hash.slice(1));
  versions = new Map();
  hasOlder = isStale = false;
  rows.replaceChildren();
  byId("detail").close();
  byId("customer").value = here.customer;
  document.querySelectorAll("#statuses input").forEach((box) => (box.checked = here.statuses.includes(box.value)));
  byId("last-change").textContent = "";
  byId("hint").hidden = here.customer !== "";
  byId("list").hidden = byId("pages").hidden = true;
  document.title = here.customer ? `${here.customer} · Orders` : "Orders";
  complain(null);
  connection(here.customer ? "connecting" : "idle");
  if (here.customer) watch(leave.signal);
}

// Follows the stream, and comes back to it wherever it was left, until `signal`.
async function watch(signal) {
  let last = null;
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    try {
      for await (const event of events(last, signal)) {
        pause = FIRST_PAUSE;
        last = event.id;
        await hear(event, signal);
        // What cannot be loaded now is loaded at the next event.
        connection(isStale ? "reconnecting" : "live");
        if (!isStale) complain(null);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem) complain(error);
      if (error.isFinal) return connection("idle");
    }
    connection("reconnecting");
    await new Promise((done) => setTimeout(done, pause * (0.5 + Math.random())));
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }
}

async function hear({ event, data }, signal) {
  const isSnapshot = event === "snapshot";
  // A snapshot says that what is shown may be out of date, further down than the snapshot goes as well.
  if (isSnapshot || isStale || rows.rows.length > LONGEST_PAGE) await load(signal);
  if (isSnapshot) JSON.parse(data).orders.forEach((order) => take(order));
  if (event === "order" && take(JSON.parse(data))) {
    byId("last-change").textContent = `last change ${clock.format(new Date())}`;
    if (isStale) await load(signal);
  }
}

async function load(signal) {
  isStale = true;
  const query = new URLSearchParams(here.statuses.map((status) => ["status", status]));
  if (here.cursor) query.set("cursor", here.cursor);
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(SILENCE)]);
    const list = await (await ask(`${customerPath()}?${query}`, limited)).json();
    if (signal.aborted) return;
    isStale = false;
    showPage(list);
  } catch (error) {
    if (signal.aborted || !(error instanceof Problem)) throw error;
    complain(error);
    if (error.isFinal) throw error;
  }
}

// --- Showing

function connection(state) {
  const words = { idle: "not watching", connecting: "connecting…", live: "live", reconnecting: "reconnecting…" };
  byId("connection").dataset.state = state;
  if (byId("state").textContent !== words[state]) byId("state").textContent = words[state];
}

function complain(problem) {
  byId("problem").hidden = !problem;
  byId("problem").textContent = problem?.message ?? "";
}

function showPage({ orders, next_cursor }) {
  const known = new Map([...rows.rows].map((row) => [row.order.order_id, row]));
  const shown = orders.map((order) => fill(known.get(order.order_id) ?? newRow(), order));
  keepFocus(() => rows.replaceChildren(...shown));
  orders.forEach((order) => versions.set(order.order_id, order.version));
  hasOlder = next_cursor !== null;
  byId("list").hidden = byId("pages").hidden = false;
  link("older", hasOlder && { ...here, cursor: next_cursor });
  link("newest", here.cursor && { ...here, cursor: null });
  caption();
}

function link(id, place) {
  if (place) byId(id).href = fragmentOf(place);
  else byId(id).removeAttribute("href");
}

function caption() {
  const which = here.statuses.length ? `${here.statuses.join(" or ")} orders` : "orders";
  const none = here.cursor ? `no older ${which}` : `no ${which}`;
  const some = rows.rows.length > 0 || hasOlder;
  byId("list").caption.textContent = `${here.customer}: ${some ? which + ", newest first" : none}`;
}

// Changes the rows. The focus stays on the order that has it, or goes to the one that takes its place.
function keepFocus(change) {
  const focused = [...rows.rows].find((row) => row.contains(document.activeElement));
  const place = focused?.sectionRowIndex;
  change();
  if (!focused) return;
  const row = focused.isConnected ? focused : rows.rows[Math.min(place, rows.rows.length - 1)];
  (row?.querySelector(".open") ?? byId("customer")).focus();
}

const newRow = () => byId("row").content.firstElementChild.cloneNode(true);

function fill(row, order) {
  // Of what is shown and what was told, the higher version counts.
  if (row.order?.version >= order.version) return row;
  row.order = order;
  const part = (selector) => row.querySelector(selector);
  part(".open").textContent = `…${order.order_id.slice(-8)}`;
  part(".open").setAttribute("aria-label", `Order ${order.order_id}`);
  part("time").dateTime = order.placed_at;
  part("time").textContent = moment.format(new Date(order.placed_at));
  part(".status").textContent = part(".status").dataset.status = order.status;
  part(".items").textContent = `${order.item_count} ${order.item_count === 1 ? "item" : "items"}`;
  part(".sku").textContent = order.last_item_sku;
  part(".total").textContent = money.format(order.total_cents / 100);
  return row;
}

// Takes in a summary that was told; whether it was news.
function take(order) {
  if (order.customer_id !== here.customer || versions.get(order.order_id) >= order.version) return false;
  versions.set(order.order_id, order.version);
  if (byId("detail").open && byId("detail").dataset.order === order.order_id) showDetail(order);
  const row = [...rows.rows].find((shown) => shown.order.order_id === order.order_id);
  const fits = here.statuses.length === 0 || here.statuses.includes(order.status);
  if (row && !fits) keepFocus(() => row.remove());
  else if (row) highlight(fill(row, order));
  else if (fits && belongsHere(order)) highlight(insert(order));
  // What has left makes room for an older one; on a page without rows there is no telling what belongs on it.
  isStale ||= (row && !fits && hasOlder) || (fits && rows.rows.length === 0);
  caption();
  return true;
}

// Newest first, and by id where the time is the same. Without its Z a time sorts as text, whatever the number of its digits.
const key = (order) => `${order.placed_at.slice(0, -1)} ${order.order_id}`;

function belongsHere(order) {
  const [first, last] = [rows.rows[0], rows.rows[rows.rows.length - 1]];
  const isNotNewer = !here.cursor || (first && key(order) < key(first.order));
  return isNotNewer && (!hasOlder || (last && key(order) > key(last.order)));
}

function insert(order) {
  const row = fill(newRow(), order);
  rows.insertBefore(row, [...rows.rows].find((shown) => key(shown.order) < key(order)) ?? null);
  return row;
}

function highlight(row) {
  row.classList.remove("changed");
  // Reading the layout lets the animation begin anew.
  void row.offsetWidth;
  row.classList.add("changed");
}

function showDetail(order) {
  const fields = {
    Order: order.order_id,
    Customer: order.customer_id,
    Status: order.status,
    Placed: moment.format(new Date(order.placed_at)),
    Items: order.item_count,
    "Last SKU": order.last_item_sku,
    Total: money.format(order.total_cents / 100),
    Version: order.version,
  };
  const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const list = byId("detail").querySelector("dl");
  list.replaceChildren(...Object.entries(fields).flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
}

// --- Doing

async function open(order) {
  byId("detail").dataset.order = order.order_id;
  showDetail(order);
  byId("detail").showModal();
  const limited = AbortSignal.any([leave.signal, AbortSignal.timeout(SILENCE)]);
  const now = await ask(`/orders/${order.order_id}`, limited).then((answer) => answer.json()).catch(() => order);
  if (now.version > order.version) take(now);
}

function step(by) {
  const buttons = [...rows.querySelectorAll(".open")];
  const next = buttons.indexOf(document.activeElement) + by;
  buttons[Math.max(0, Math.min(next, buttons.length - 1))]?.focus();
}

const tickedStatuses = () => [...document.querySelectorAll("#statuses :checked")].map((box) => box.value);

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const customer = byId("customer").value.trim();
  const before = location.hash;
  location.hash = fragmentOf({ customer, statuses: tickedStatuses(), cursor: null });
  if (location.hash === before) go();
});
byId("statuses").addEventListener("change", () => {
  if (here.customer) location.hash = fragmentOf({ ...here, statuses: tickedStatuses(), cursor: null });
});
rows.addEventListener("click", (event) => open(event.target.closest("tr").order));
addEventListener("keydown", (event) => {
  if (event.target.matches("input") || byId("detail").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = () => (byId("customer").focus(), byId("customer").select());
  const [next, previous] = [() => step(1), () => step(-1)];
  const action = { "/": search, j: next, k: previous, ArrowDown: next, ArrowUp: previous }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
addEventListener("hashchange", go);
go();
