// Opens the view of one order, loads the order, and keeps it up to date.

import { showAccess } from "./access.js";
import { Problem, SILENCE_LIMIT, request } from "./api.js";
import { follow } from "./follow.js";
import { shown } from "./list.js";
import { renewAge, resetOrder, setAge, setOrderLive, showMissing, showOrder } from "./order.js";
import { byId, showText } from "./text.js";
import { sleep, visible } from "./wait.js";

const RETRY_INTERVAL = 5_000;
// A stream announces a version that another replica, which responds to the request, may not have yet.
const HEADERS = { Prefer: "wait=2" };

let abort = new AbortController();
// The order's id, the version to load, what has been loaded, whether it must be loaded again, how many loads have begun,
// and which of them is shown.
let opened = null;

export const openedOrder = () => opened?.id ?? null;

// `summary` is what a list knows of it, if there is one. `onCustomer` gets the customer once it is known.
export function openOrder(id, summary, onCustomer) {
  abort.abort();
  abort = new AbortController();
  opened = { id, version: summary?.version ?? 1, order: null, needsReload: true, loads: 0, shownLoad: 0 };
  resetOrder(id);
  showProblem(null);
  if (summary) {
    showOrder(summary);
    setAge(shown.liveAt, shown.isNotLive);
  }
  if (!byId("detail").open) byId("detail").showModal();
  byId("detail").scrollTop = 0;
  start(onCustomer, abort.signal);
}

export function closeOrder() {
  abort.abort();
  opened = null;
  byId("detail").close();
}

// Stops loading: an access token is needed.
export function stopOrder(problem) {
  abort.abort();
  if (!opened) return;
  setOrderLive(false);
  showProblem(problem);
}

async function start(onCustomer, signal) {
  while (!signal.aborted && !opened.order) {
    await visible(signal);
    await load(signal);
    if (signal.aborted || opened.isRefused) return;
    if (!opened.order) await sleep(RETRY_INTERVAL, signal);
  }
  if (signal.aborted) return;
  onCustomer(opened.order.customer_id);
  // The list of this customer has a stream, whose events come here, too.
  if (signal.aborted || shown.view.customer === opened.order.customer_id) return;
  const listener = {
    handle: (event) => takeEvent(event),
    needsReload: () => opened?.needsReload ?? false,
    show: takeState,
    showProblem,
  };
  follow(opened.order.customer_id, listener, signal);
}

function showProblem(problem) {
  const isOfAccess = showAccess("detail-access", problem, ["this order"]);
  showText("detail-problem", isOfAccess ? "" : (problem?.message ?? ""));
  if (problem) byId("detail-loading").hidden = true;
}

// Never throws: what could not be loaded is loaded with the next event.
async function load(signal) {
  const target = opened;
  target.needsReload = true;
  target.loads += 1;
  const number = target.loads;
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(SILENCE_LIMIT)]);
    const newest = target.version > 1 ? `?min_version=${target.version}` : "";
    const path = `/orders/${encodeURIComponent(target.id)}${newest}`;
    const order = await (await request(path, limited, HEADERS)).json();
    // Loads may overlap. An older one of the same version may lack facts that are shown.
    if (signal.aborted || target.order?.version > order.version || number < target.shownLoad) return;
    target.shownLoad = number;
    const isNewest = order.version >= target.version;
    Object.assign(target, { order, version: Math.max(order.version, target.version), needsReload: !isNewest });
    showProblem(null);
    showOrder(order);
    renewAge();
  } catch (error) {
    if (signal.aborted) return;
    if (error.isMissing && !target.order) return showMissing();
    target.isRefused = error.isFinal && !error.isMissing;
    showProblem(error instanceof Problem ? error : { message: "The order could not be loaded. It is tried again." });
  }
}

// An event of the customer's stream. Facts of the same version may have become known.
export async function takeEvent({ event, data }) {
  if (!opened) return;
  const order = event === "order" ? JSON.parse(data) : null;
  const isThis = order?.order_id === opened.id;
  if (isThis) opened.version = Math.max(opened.version, order.version);
  // It is being loaded. If that response is older, the next event loads it again.
  if (!opened.order) return;
  // After a snapshot, changes may have been left out.
  if (isThis || event === "snapshot" || opened.needsReload) await load(abort.signal);
}

export const takeState = (state) => opened && setOrderLive(state === "live");
