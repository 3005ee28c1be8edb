// The view of one order.

import { copyable } from "./copy.js";
import { lineTotal, money } from "./money.js";
import { byId, element, isolated, showText } from "./text.js";
import { moment, timeOfDay } from "./time.js";
import { showTimeline } from "./timeline.js";
import { fragmentOf, viewFrom } from "./view.js";

const customerFragment = (customer) => fragmentOf({ ...viewFrom(""), customer });
const quiet = (text) => element("span", text, { className: "quiet" });

const LINES_ON_SCREEN = 12;

// When the order was last known to be up to date, and whether it may have changed since.
let age = { liveAt: null, isNotLive: false };
let shownOrder = null;

// Opens the view of an order of which nothing is known yet.
export function resetOrder(orderId) {
  setAge(null, false);
  shownOrder = null;
  byId("detail-id").replaceChildren(copyable(element("span", orderId), orderId, "order id"));
  byId("detail-status").textContent = byId("detail-customer").textContent = "";
  byId("detail-body").hidden = byId("missing").hidden = true;
  byId("detail-loading").hidden = false;
  // A customer's id may look like that of an order.
  byId("as-customer").href = customerFragment(orderId);
}

// Shows the whole order, or the summary that a list knows of it.
export function showOrder(order) {
  // What has not changed is left alone: it may be selected or have the focus.
  if (JSON.stringify(order) === JSON.stringify(shownOrder)) return;
  shownOrder = order;
  byId("detail-loading").hidden = byId("missing").hidden = true;
  byId("detail-body").hidden = false;
  byId("detail-status").textContent = byId("detail-status").dataset.status = order.status;
  showLines(order);
  showTimeline(order);
  showShipment(order);
  const isCancelled = order.status === "cancelled";
  byId("reason-of-cancel").hidden = !isCancelled;
  byId("reason").replaceChildren(known(order.cancel_reason, isolated, "No reason is known."));
  const customer = element("a", isolated(order.customer_id), { href: customerFragment(order.customer_id) });
  byId("detail-customer").replaceChildren("of ", customer);
  byId("facts").replaceChildren(
    ...fact("Currency", known(order.currency, (code) => code, "none known")),
    ...fact("Version", order.version),
    ...fact("Updated", known(order.updated_at, moment, "not known")),
  );
}

export function showMissing() {
  byId("detail-loading").hidden = byId("detail-body").hidden = true;
  byId("missing").hidden = false;
}

export function setAge(liveAt, isNotLive) {
  age = { liveAt, isNotLive };
  const isOld = isNotLive && liveAt !== null;
  showText("detail-age", isOld ? `Not live, as of ${timeOfDay(liveAt)}: it may have changed since.` : "");
}

export const setOrderLive = (isLive) => setAge(isLive ? new Date() : age.liveAt, !isLive);
// It has been loaded, whether or not it is live.
export const renewAge = () => setAge(new Date(), age.isNotLive);

// Undefined while only the summary is known, null if nobody knows it.
function known(value, show, unknown) {
  if (value === undefined) return quiet("…");
  return value === null ? quiet(unknown) : show(value);
}

const fact = (name, content) => [element("dt", name), element("dd", content)];

function showLines(order) {
  const { items, currency, item_count, last_item_sku } = order;
  byId("lines").hidden = items === null;
  byId("no-lines").hidden = items !== null;
  // Until they are loaded, a line each keeps the space.
  const awaited = Array.from({ length: Math.min(item_count, LINES_ON_SCREEN) }, placeholder);
  const lines = items?.map((item) => lineOf(item, currency));
  byId("line-rows").replaceChildren(...(lines ?? awaited));
  const count = `${item_count} ${item_count === 1 ? "item" : "items"}`;
  byId("no-lines-sku").replaceChildren(`${count}; the last one is `, isolated(last_item_sku), ".");
  byId("detail-total").textContent = money(order.total_cents, currency ?? null);
}

const newLine = () => byId("line").content.firstElementChild.cloneNode(true);

function placeholder() {
  const row = newLine();
  row.querySelector("bdi").textContent = "…";
  return row;
}

function lineOf(item, currency) {
  const row = newLine();
  const part = (selector) => row.querySelector(selector);
  part(".line-sku bdi").textContent = item.sku;
  part(".quantity").textContent = item.quantity;
  part(".price").textContent = money(item.price_cents, currency);
  part(".line-total").textContent = lineTotal(item, currency);
  return row;
}

function showShipment({ status, carrier, tracking_number }) {
  const isShipped = status === "shipped" || status === "delivered";
  byId("shipment").hidden = !isShipped;
  const copy = (number) => copyable(isolated(number), number, "tracking number");
  byId("shipment-facts").replaceChildren(
    ...fact("Carrier", known(carrier, isolated, "not known")),
    ...fact("Tracking number", known(tracking_number, copy, "not known")),
  );
}
