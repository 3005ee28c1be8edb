// Shows a customer's orders, and keeps what is shown as it is now. Where we are stands in the fragment, which no server sees:
// #customer=alice&status=paid&cursor=…

import { Problem, SILENCE, ask, events, ordersPath } from "./api.js";
import { begin, byId, fragmentOf, mark, rowCount, showDetail, showPage, shown, step, take } from "./list.js";
import { timeOfDay } from "./text.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;
// A list that has waited this long may be waiting for the connection that the stream holds.
const LIST_WAIT = 2_000;
// A page grows while it is live; one that has become so long is loaded anew.
const LONGEST_PAGE = 100;

let leave = new AbortController();
let stream = new AbortController();
// What the next place has to say about how we came there.
let notice = "";

// --- Going somewhere

function placeOf(fragment) {
  const parameters = new URLSearchParams(fragment);
  return { customer: parameters.get("customer") ?? "", statuses: parameters.getAll("status"), cursor: parameters.get("cursor") };
}

function go() {
  leave.abort();
  leave = new AbortController();
  const place = placeOf(location.hash.slice(1));
  begin(place);
  byId("customer").value = place.customer;
  document.querySelectorAll("#statuses input").forEach((box) => (box.checked = place.statuses.includes(box.value)));
  byId("last-change").textContent = "";
  byId("hint").hidden = place.customer !== "";
  say("notice", notice);
  notice = "";
  complain(null);
  connection(place.customer ? "connecting" : "idle");
  if (place.customer) watch(leave.signal);
}

// Follows the stream, and comes back to it wherever it was left, until `signal`. A hidden tab holds no stream: browsers open six
// connections to a host over HTTP/1.1, for all tabs together.
async function watch(signal) {
  let last = null;
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    await visible(signal);
    stream = new AbortController();
    try {
      for await (const event of events(shown.place.customer, last, AbortSignal.any([signal, stream.signal]))) {
        pause = FIRST_PAUSE;
        last = event.id;
        await hear(event, signal);
        if (stream.signal.aborted) break;
        // What cannot be loaded now is loaded at the next event.
        connection(shown.isStale ? "reconnecting" : "live");
        if (!shown.isStale) complain(null);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem) complain(error);
      if (error.isFinal) return connection("idle");
    }
    connection(document.hidden ? "paused" : "reconnecting");
    // A stream that made way, for a hidden tab or for a list that has come, is resumed at once.
    if (stream.signal.aborted && !shown.isStale) continue;
    await rest(pause * (0.5 + Math.random()), signal);
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }
}

const visible = (signal) =>
  new Promise((done) => {
    if (!document.hidden || signal.aborted) return done();
    signal.addEventListener("abort", done, { once: true });
    document.addEventListener("visibilitychange", done, { once: true, signal });
  });

// Ends early when the tab is shown: somebody waits.
const rest = (time, signal) =>
  new Promise((done) => {
    const over = AbortSignal.any([signal, AbortSignal.timeout(time)]);
    over.addEventListener("abort", done, { once: true });
    document.addEventListener("visibilitychange", done, { signal: over });
  });

async function hear({ event, data }, signal) {
  const isSnapshot = event === "snapshot";
  // A snapshot says that what is shown may be out of date, further down than the snapshot goes as well.
  if (isSnapshot || shown.isStale || rowCount() > LONGEST_PAGE) await load(signal);
  if (isSnapshot) JSON.parse(data).orders.forEach((order) => take(order));
  if (event === "order" && take(JSON.parse(data))) {
    byId("last-change").textContent = `last change ${timeOfDay(new Date())}`;
    if (shown.isStale) await load(signal);
  }
}

async function load(signal) {
  shown.isStale = true;
  const { customer, statuses, cursor } = shown.place;
  const query = new URLSearchParams(statuses.map((status) => ["status", status]));
  if (cursor) query.set("cursor", cursor);
  const makeWay = setTimeout(() => stream.abort(), LIST_WAIT);
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(SILENCE)]);
    const list = await (await ask(`${ordersPath(customer)}?${query}`, limited)).json();
    if (signal.aborted) return;
    shown.isStale = false;
    showPage(list);
  } catch (error) {
    if (signal.aborted || !(error instanceof Problem)) throw error;
    if (cursor && error.parameters.includes("cursor")) toFirstPage();
    else complain(error);
    if (error.isFinal) throw error;
  } finally {
    clearTimeout(makeWay);
  }
}

// A cursor that is refused is an old bookmark, whose key is not in use any more, or a link that was cut off.
function toFirstPage() {
  notice = "This link to an older page is no longer valid. These are the newest orders.";
  leave.abort();
  location.replace(fragmentOf({ ...shown.place, cursor: null }));
}

// --- Telling the user

function connection(state) {
  const words = { idle: "not watching", connecting: "connecting…", live: "live", paused: "paused", reconnecting: "reconnecting…" };
  byId("connection").dataset.state = state;
  if (byId("state").textContent !== words[state]) byId("state").textContent = words[state];
  if (state !== "connecting") mark(state === "live");
}

function say(id, text) {
  byId(id).hidden = !text;
  byId(id).textContent = text;
}

const complain = (problem) => say("problem", problem?.message ?? "");

// --- Doing

async function open(order) {
  byId("detail").dataset.order = order.order_id;
  showDetail(order);
  byId("detail").showModal();
  const limited = AbortSignal.any([leave.signal, AbortSignal.timeout(SILENCE)]);
  const now = await ask(`/orders/${order.order_id}`, limited).then((answer) => answer.json()).catch(() => order);
  if (now.version > order.version) take(now);
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
  if (shown.place.customer) location.hash = fragmentOf({ ...shown.place, statuses: tickedStatuses(), cursor: null });
});
byId("list").querySelector("tbody").addEventListener("click", (event) => open(event.target.closest("tr").order));
document.addEventListener("visibilitychange", () => document.hidden && stream.abort());
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
