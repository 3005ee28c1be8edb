// Shows a customer's orders and keeps them up to date. The fragment, which no server sees, holds the current view:
// #customer=alice&status=paid&cursor=…

import { Problem, SILENCE_LIMIT, events, ordersPath, request } from "./api.js";
import { applyOrder, byId, fragmentOf, moveFocus, resetTo, rowCount } from "./list.js";
import { setLive, showDetail, showPage, shown } from "./list.js";
import { timeOfDay } from "./text.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;
// A list request that takes this long may be waiting for the connection that the stream holds.
const LIST_WAIT = 2_000;
// A live page grows. Beyond this number of rows it is reloaded.
const MAX_ROWS = 100;

let abortView = new AbortController();
let abortStream = new AbortController();
// Shown by the next view: the reason why it was opened.
let notice = "";

// --- Views

function viewFrom(fragment) {
  const parameters = new URLSearchParams(fragment);
  return {
    customer: parameters.get("customer") ?? "",
    statuses: parameters.getAll("status"),
    cursor: parameters.get("cursor"),
  };
}

function openView() {
  abortView.abort();
  abortView = new AbortController();
  const view = viewFrom(location.hash.slice(1));
  resetTo(view);
  byId("customer").value = view.customer;
  document.querySelectorAll("#statuses input").forEach((box) => (box.checked = view.statuses.includes(box.value)));
  byId("last-change").textContent = "";
  byId("hint").hidden = view.customer !== "";
  showText("notice", notice);
  notice = "";
  showProblem(null);
  showConnection(view.customer ? "connecting" : "idle");
  if (view.customer) follow(abortView.signal);
}

// Follows the stream until `signal`; after an interruption it resumes. A hidden tab holds no stream: over HTTP/1.1
// browsers open only six connections to a host, for all tabs together.
async function follow(signal) {
  let last = null;
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    await visible(signal);
    abortStream = new AbortController();
    try {
      const either = AbortSignal.any([signal, abortStream.signal]);
      for await (const event of events(shown.view.customer, last, either)) {
        pause = FIRST_PAUSE;
        last = event.id;
        await handle(event, signal);
        if (abortStream.signal.aborted) break;
        // If loading failed, the next event tries again.
        showConnection(shown.needsReload ? "reconnecting" : "live");
        if (!shown.needsReload) showProblem(null);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem) showProblem(error);
      if (error.isFinal) return showConnection("idle");
    }
    showConnection(document.hidden ? "paused" : "reconnecting");
    // Resume at once if the stream was closed on purpose: for a hidden tab, or for a list that has been loaded.
    if (abortStream.signal.aborted && !shown.needsReload) continue;
    await sleep(pause * (0.5 + Math.random()), signal);
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }
}

const visible = (signal) =>
  new Promise((done) => {
    if (!document.hidden || signal.aborted) return done();
    signal.addEventListener("abort", done, { once: true });
    document.addEventListener("visibilitychange", done, { once: true, signal });
  });

// Ends early when the tab is shown, because the user is waiting; and when it is hidden: then `visible` waits.
const sleep = (time, signal) =>
  new Promise((done) => {
    const over = AbortSignal.any([signal, AbortSignal.timeout(time)]);
    over.addEventListener("abort", done, { once: true });
    document.addEventListener("visibilitychange", done, { signal: over });
  });

async function handle({ event, data }, signal) {
  const isSnapshot = event === "snapshot";
  // After a snapshot, rows that it does not include may be out of date, too: reload the page.
  if (isSnapshot || shown.needsReload || rowCount() > MAX_ROWS) await load(signal);
  if (isSnapshot) JSON.parse(data).orders.forEach((order) => applyOrder(order));
  if (event === "order" && applyOrder(JSON.parse(data))) {
    byId("last-change").textContent = `last change ${timeOfDay(new Date())}`;
    if (shown.needsReload) await load(signal);
  }
}

async function load(signal) {
  shown.needsReload = true;
  const { customer, statuses, cursor } = shown.view;
  const query = new URLSearchParams(statuses.map((status) => ["status", status]));
  if (cursor) query.set("cursor", cursor);
  const listTimer = setTimeout(() => abortStream.abort(), LIST_WAIT);
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(SILENCE_LIMIT)]);
    const list = await (await request(`${ordersPath(customer)}?${query}`, limited)).json();
    if (signal.aborted) return;
    shown.needsReload = false;
    showPage(list);
  } catch (error) {
    if (signal.aborted || !(error instanceof Problem)) throw error;
    if (cursor && error.parameters.includes("cursor")) openFirstPage();
    else showProblem(error);
    if (error.isFinal) throw error;
  } finally {
    clearTimeout(listTimer);
  }
}

// The server rejects the cursor: the bookmark is so old that its key is no longer in use, or the link was cut short.
function openFirstPage() {
  notice = "This link to an older page is no longer valid. These are the newest orders.";
  abortView.abort();
  location.replace(fragmentOf({ ...shown.view, cursor: null }));
}

// --- Messages

const STATES = {
  idle: "not watching",
  connecting: "connecting…",
  live: "live",
  paused: "paused",
  reconnecting: "reconnecting…",
};

function showConnection(state) {
  byId("connection").dataset.state = state;
  if (byId("state").textContent !== STATES[state]) byId("state").textContent = STATES[state];
  if (state !== "connecting") setLive(state === "live");
}

function showText(id, text) {
  byId(id).hidden = !text;
  byId(id).textContent = text;
}

const showProblem = (problem) => showText("problem", problem?.message ?? "");

// --- Actions

async function openOrder(order) {
  byId("detail").dataset.order = order.order_id;
  showDetail(order);
  byId("detail").showModal();
  const limited = AbortSignal.any([abortView.signal, AbortSignal.timeout(SILENCE_LIMIT)]);
  const path = `/orders/${order.order_id}`;
  const newest = await request(path, limited).then((response) => response.json()).catch(() => order);
  if (newest.version > order.version) applyOrder(newest);
}

const tickedStatuses = () => [...document.querySelectorAll("#statuses :checked")].map((box) => box.value);

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const customer = byId("customer").value.trim();
  const before = location.hash;
  location.hash = fragmentOf({ customer, statuses: tickedStatuses(), cursor: null });
  if (location.hash === before) openView();
});
byId("statuses").addEventListener("change", () => {
  if (shown.view.customer) location.hash = fragmentOf({ ...shown.view, statuses: tickedStatuses(), cursor: null });
});
byId("list").querySelector("tbody").addEventListener("click", (event) => openOrder(event.target.closest("tr").order));
document.addEventListener("visibilitychange", () => document.hidden && abortStream.abort());
addEventListener("keydown", (event) => {
  if (event.target.matches("input") || byId("detail").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = () => (byId("customer").focus(), byId("customer").select());
  const [next, previous] = [() => moveFocus(1), () => moveFocus(-1)];
  const action = { "/": search, j: next, k: previous, ArrowDown: next, ArrowUp: previous }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
addEventListener("hashchange", openView);
openView();
