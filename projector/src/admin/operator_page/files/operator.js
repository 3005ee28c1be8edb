// Shows the state, keeps it up to date, and acts.

import { act, readParked, readState } from "./requests.js";
import { byId, duration, moment, showFacts, showRows, showText, since, update } from "./tables.js";

const POLL_INTERVAL = 5_000;
const OUTBOX = "";

// The parked events that are shown: whose, and after which id.
const shown = { owner: OUTBOX, after: null, next: null };
let mayAct = false;
let timer = 0;
// A result that was requested before the newest one is ignored.
let round = 0;

async function refresh() {
  clearTimeout(timer);
  const own = ++round;
  try {
    const state = await readState();
    if (own !== round) return;
    showState(state);
    await showParked(own);
    if (own !== round) return;
    showConnection("live", "refreshed every 5 seconds");
    showText("problem", "");
  } catch (error) {
    if (own !== round) return;
    showConnection("retrying", "trying again…");
    showText("problem", error.message);
    byId("loading").hidden = true;
  }
  if (!document.hidden) timer = setTimeout(refresh, POLL_INTERVAL);
}

function showConnection(state, text) {
  byId("connection").dataset.state = state;
  update(byId("connection-state"), text);
  byId("content").classList.toggle("old", state !== "live");
}

function showState(state) {
  mayAct = state.may_act;
  document.body.classList.toggle("read-only", !mayAct);
  byId("read-only").hidden = mayAct;
  byId("loading").hidden = true;
  byId("content").hidden = false;
  const { outbox } = state;
  showFacts("outbox", [
    ["Backlog", outbox.backlog, false],
    ["Oldest event", duration(outbox.oldest_seconds), false],
    ["Waiting for a row", outbox.waiting, false],
    ["Parked, retried", outbox.parked_retrying, false],
    ["Parked, for you", outbox.parked_left_for_operator, outbox.parked_left_for_operator > 0],
    ["Oldest transaction", duration(outbox.oldest_transaction_seconds), false],
  ]);
  showOwners(state.subscriptions);
  showRows("subscriptions", state.subscriptions.map(subscriptionRow));
  showRows("webhooks", state.webhooks.map(webhookRow));
}

function showOwners(subscriptions) {
  const select = byId("owner");
  const names = [OUTBOX, ...subscriptions.map(({ name }) => name)];
  [...select.options].forEach((option) => names.includes(option.value) || option.remove());
  const known = [...select.options].map((option) => option.value);
  names.filter((name) => !known.includes(name)).forEach((name) => select.add(new Option(name, name)));
  if (!names.includes(shown.owner)) Object.assign(shown, { owner: OUTBOX, after: null });
  if (select.value !== shown.owner) select.value = shown.owner;
}

const failures = (count, reason) => (reason ? `${count}: ${reason}` : count);

function subscriptionRow(status) {
  const { name, state } = status;
  const lag = `${status.lag_events} events, ${duration(status.lag_seconds ?? 0)}`;
  const parked = `${status.parked_retrying} retried, ${status.parked_left_for_operator} for you`;
  const isFed = name.startsWith("webhook:");
  const actions = [];
  if (mayAct && state === "running" && !isFed) {
    actions.push(["Pause", `Pause ${name}`, run({ action: "pause_subscription", name }, `${name} is paused.`)]);
  }
  if (mayAct && state === "paused") {
    actions.push(["Resume", `Resume ${name}`, run({ action: "resume_subscription", name }, `${name} runs again.`)]);
  }
  const cells = [name, state, lag, failures(status.failures, status.last_error), parked];
  return { key: name, cells, state: { cell: 1, name: state }, actions };
}

function webhookRow(endpoint) {
  const { id, state } = endpoint;
  const reason = endpoint.paused_reason ? ` (${endpoint.paused_reason.replaceAll("_", " ")})` : "";
  const waiting = endpoint.waiting > 10_000 ? "more than 10000" : endpoint.waiting;
  const oldest = [endpoint.oldest_waiting, endpoint.oldest_not_copied].filter(Boolean).sort()[0];
  const failing = endpoint.failing_since && `since ${moment(endpoint.failing_since)}`;
  const feed = endpoint.subscription_state === "running" ? "" : `, feed ${endpoint.subscription_state ?? "removed"}`;
  const cells = [id, endpoint.host ?? "unknown", `${state}${reason}${feed}`, waiting, oldest ? since(oldest) : "0 s",
    failures(endpoint.failures, failing), endpoint.parked];
  const isPaused = state === "paused";
  const text = isPaused ? "Resume" : "Pause";
  const done = isPaused ? `Webhook ${id} sends again.` : `Webhook ${id} is paused. Events wait for it.`;
  const action = { action: isPaused ? "resume_webhook" : "pause_webhook", id };
  const actions = mayAct ? [[text, `${text} webhook ${id}`, run(action, done)]] : [];
  return { key: `${id}`, cells, state: { cell: 2, name: state }, actions };
}

// --- Parked events

async function showParked(own) {
  let page;
  try {
    page = await readParked(shown.owner, shown.after);
  } catch (error) {
    if (own === round) showText("parked-problem", error.message);
    throw error;
  }
  if (own !== round) return;
  // The last events of this page are gone.
  if (page.events.length === 0 && shown.after !== null) {
    shown.after = null;
    return showParked(own);
  }
  shown.next = page.next;
  showText("parked-problem", "");
  showRows("parked", page.events.map(parkedRow));
  byId("parked-pages").hidden = shown.after === null && page.next === null;
  byId("parked-next").hidden = page.next === null;
  byId("parked-first").hidden = shown.after === null;
}

function parkedRow(event) {
  const { id } = event;
  const subscription = shown.owner || null;
  const order = event.order_id ? `${event.order_id}, version ${event.version ?? "unknown"}` : "unknown";
  const next = event.next_attempt_at ? moment(event.next_attempt_at) : "left for you";
  const cells = [id, order, event.kind, event.reason, event.attempts, next];
  const retry = run({ action: "retry_parked", subscription, id }, `Event ${id} is tried again.`);
  const discard = run({ action: "discard_parked", subscription, id }, `Event ${id} is discarded.`);
  const confirmed = (button) => confirmDiscard(event, order, () => discard(button));
  const actions = [
    ["Retry", `Retry event ${id}`, retry],
    ["Discard", `Discard event ${id}`, confirmed, true],
  ];
  return { key: `${shown.owner} ${id}`, cells, actions: mayAct ? actions : [] };
}

let discardConfirmed = () => {};

function confirmDiscard(event, order, discard) {
  const owner = shown.owner ? `the subscription ${shown.owner}` : "the read models";
  const text = `Event ${event.id} (${event.kind}, order ${order}) is deleted with its payload. It is never applied to ` +
    `${owner}, and this cannot be undone. Save it first with: projector parked show ` +
    `${shown.owner ? `--subscription ${shown.owner} ` : ""}${event.id}`;
  update(byId("confirm-text"), text);
  discardConfirmed = discard;
  byId("confirm").showModal();
}

byId("confirm-no").addEventListener("click", () => byId("confirm").close());
byId("confirm-yes").addEventListener("click", () => {
  byId("confirm").close();
  discardConfirmed();
});

function showPage(after) {
  shown.after = after;
  byId("parked-title").focus();
  refresh();
}

byId("parked-first").addEventListener("click", () => showPage(null));
byId("parked-next").addEventListener("click", () => showPage(shown.next));
byId("owner").addEventListener("change", (event) => {
  Object.assign(shown, { owner: event.target.value, after: null });
  refresh();
});

// --- Actions

function run(action, done) {
  return async (button) => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    showText("notice", "");
    let problem = "";
    try {
      await act(action);
      showText("notice", done);
    } catch (error) {
      problem = error.status ? error.message : "The projector cannot be reached: the action may have been done.";
    } finally {
      button.removeAttribute("aria-disabled");
    }
    await refresh();
    if (problem) showText("problem", problem);
  };
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
