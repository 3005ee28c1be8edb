// Loads the lists and keeps them up to date: that of a customer through the stream of changes, that of all customers
// by asking again.

import { showAccess } from "./access.js";
import { Problem, SILENCE_LIMIT, request } from "./api.js";
import { follow, freeConnection } from "./follow.js";
import { applyOrder, setLive, shown, showPage } from "./list.js";
import { rows } from "./rows.js";
import { byId, isolated, showText, update } from "./text.js";
import { age, timeOfDay } from "./time.js";
import { listPath } from "./view.js";
import { sleep, visible } from "./wait.js";

// A list request that takes this long may be waiting for the connection that the stream holds.
const LIST_WAIT = 2_000;
// A live page grows. Beyond this number of rows it is reloaded.
const MAX_ROWS = 100;
const POLL_INTERVAL = 5_000;

// --- A customer's list

// `onEvent` and `onState` get the events of the stream and the states of the connection, too.
export function followCustomer({ openFirstPage, onEvent, onState }, signal) {
  const listener = {
    needsReload: () => shown.needsReload,
    show: (state) => (showConnection(state), onState(state)),
    showProblem,
    handle: async (event, signal) => {
      onEvent(event);
      await handle(event, openFirstPage, signal);
    },
  };
  return follow(shown.view.customer, listener, signal);
}

async function handle({ event, data }, openFirstPage, signal) {
  const isSnapshot = event === "snapshot";
  // After a snapshot, rows that it does not include may be out of date, too: reload the page.
  if (isSnapshot || shown.needsReload || rows().length > MAX_ROWS) await load(openFirstPage, signal);
  if (isSnapshot) JSON.parse(data).orders.forEach((order) => applyOrder(order));
  if (event === "order" && applyOrder(JSON.parse(data))) {
    byId("last-change").textContent = `last change ${timeOfDay(new Date())}`;
    if (shown.needsReload) await load(openFirstPage, signal);
  }
}

// --- The list of all customers

export async function pollAll({ openFirstPage }, signal) {
  while (!signal.aborted) {
    await visible(signal);
    try {
      await load(openFirstPage, signal);
      if (signal.aborted) return;
      byId("last-change").replaceChildren("updated ", age(new Date().toISOString(), 1));
      showConnection("polling");
      showProblem(null);
    } catch (error) {
      if (signal.aborted) return;
      showConnection(error.isFinal ? "idle" : "retrying");
      if (!(error instanceof Problem)) showProblem({ message: "The server cannot be reached." });
      if (error.isFinal) return;
    }
    await sleep(POLL_INTERVAL, signal);
  }
}

// --- Both

async function load(openFirstPage, signal) {
  const { view } = shown;
  shown.needsReload = true;
  const freeing = setTimeout(freeConnection, LIST_WAIT);
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(SILENCE_LIMIT)]);
    const list = await (await request(listPath(view), limited)).json();
    if (signal.aborted) return;
    shown.needsReload = false;
    showPage(list, { marksChanges: view.isOfAll });
  } catch (error) {
    if (signal.aborted || !(error instanceof Problem)) throw error;
    // The link is an old bookmark, whose key is no longer in use, or was cut off.
    if (view.cursor && error.parameters.includes("cursor")) openFirstPage();
    else showProblem(error);
    if (error.isFinal || view.isOfAll) throw error;
  } finally {
    clearTimeout(freeing);
  }
}

const STATES = {
  idle: "not watching",
  connecting: "connecting…",
  live: "live",
  polling: "refreshed every 5 seconds",
  paused: "paused",
  reconnecting: "reconnecting…",
  retrying: "trying again…",
};

export function showConnection(state) {
  byId("connection").dataset.state = state;
  update(byId("state"), STATES[state]);
  if (state !== "connecting") setLive(state === "live" || state === "polling");
}

export function showProblem(problem) {
  const { isOfAll, customer } = shown.view;
  const what = isOfAll ? ["the orders of all customers"] : ["the orders of ", isolated(customer)];
  showText("problem", showAccess("access", problem, what) ? "" : (problem?.message ?? ""));
  if (problem) byId("loading").hidden = true;
}
