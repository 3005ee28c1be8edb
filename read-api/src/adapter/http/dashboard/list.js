// The orders on the page.

import { element, isolated, isolatedInTitle, money, timeOfDay, when } from "./text.js";

export const byId = (id) => document.getElementById(id);
const rows = byId("list").querySelector("tbody");

// What is shown: the view, whether there are older orders than those in the rows, whether the rows must be reloaded,
// and the highest known version of each order.
export const shown = {
  view: { customer: "", statuses: [], cursor: null },
  hasOlder: false,
  needsReload: false,
  versions: new Map(),
};
// The time at which the rows were last known to be up to date, and whether they may have changed since.
let liveAt = null;
let isNotLive = false;

export const rowCount = () => rows.rows.length;

export function fragmentOf({ customer, statuses, cursor }) {
  const parameters = new URLSearchParams({ customer });
  statuses.forEach((status) => parameters.append("status", status));
  if (cursor) parameters.set("cursor", cursor);
  return `#${parameters}`;
}

// Opens a view, of which nothing has been loaded yet.
export function resetTo(view) {
  Object.assign(shown, { view, hasOlder: false, needsReload: false, versions: new Map() });
  liveAt = null;
  isNotLive = false;
  rows.replaceChildren();
  byId("detail").close();
  byId("list").hidden = byId("empty").hidden = byId("pages").hidden = true;
  document.title = view.customer ? `${isolatedInTitle(view.customer)} · Orders` : "Orders";
}

export function showPage({ orders, next_cursor }) {
  const known = new Map([...rows.rows].map((row) => [row.order.order_id, row]));
  const page = orders.map((order) => fill(known.get(order.order_id) ?? newRow(), order));
  keepFocus(() => rows.replaceChildren(...page));
  orders.forEach((order) => shown.versions.set(order.order_id, order.version));
  shown.hasOlder = next_cursor !== null;
  liveAt ??= new Date();
  byId("pages").hidden = false;
  link("older", shown.hasOlder && { ...shown.view, cursor: next_cursor });
  link("newest", shown.view.cursor && { ...shown.view, cursor: null });
  describe();
}

// While the stream is live, the rows are up to date; without it they may have changed.
export function setLive(isLive) {
  if (isLive) liveAt = new Date();
  isNotLive = !isLive && liveAt !== null;
  if (liveAt) describe();
}

function link(id, view) {
  if (view) byId(id).href = fragmentOf(view);
  else byId(id).removeAttribute("href");
}

// Updates the text around the rows, or in place of them.
function describe() {
  const { customer, statuses, cursor } = shown.view;
  const which = statuses.length ? `${statuses.join(" or ")} orders` : "orders";
  const isEmpty = rowCount() === 0 && !shown.hasOlder;
  byId("list").hidden = isEmpty;
  byId("empty").hidden = !isEmpty;
  byId("list").classList.toggle("old", isNotLive);
  const asOf = () => Object.assign(element("span", `not live, as of ${timeOfDay(liveAt)}`), { className: "age" });
  const age = () => (isNotLive ? [" · ", asOf()] : []);
  byId("list").querySelector("caption").replaceChildren(isolated(customer), `: ${which}, newest first`, ...age());
  byId("none").replaceChildren(`No ${cursor ? "older " : ""}${which} of `, isolated(customer), ...age());
  byId("check-id").hidden = Boolean(cursor) || statuses.length > 0;
  byId("clear").hidden = statuses.length === 0;
  byId("clear").href = fragmentOf({ customer, statuses: [], cursor: null });
  byId("detail-age").textContent = isNotLive ? `Not live, as of ${timeOfDay(liveAt)}: it may have changed since.` : "";
}

// Changes the rows. The focus stays on its order. If that order is removed, the focus moves to the row that is then
// at the same index.
function keepFocus(change) {
  const focused = [...rows.rows].find((row) => row.contains(document.activeElement));
  const index = focused?.sectionRowIndex;
  change();
  if (!focused) return;
  const row = focused.isConnected ? focused : rows.rows[Math.min(index, rows.rows.length - 1)];
  (row?.querySelector(".open") ?? byId("customer")).focus();
}

const newRow = () => byId("row").content.firstElementChild.cloneNode(true);

function fill(row, order) {
  // The row keeps the higher version.
  if (row.order?.version >= order.version) return row;
  row.order = order;
  const part = (selector) => row.querySelector(selector);
  part(".open").textContent = `…${order.order_id.slice(-8)}`;
  part(".open").setAttribute("aria-label", `Order ${order.order_id}`);
  part("time").dateTime = order.placed_at;
  part("time").textContent = when(order.placed_at);
  part(".status").textContent = part(".status").dataset.status = order.status;
  part(".items").textContent = `${order.item_count} ${order.item_count === 1 ? "item" : "items"}`;
  part(".sku").textContent = order.last_item_sku;
  part(".total").textContent = money(order.total_cents);
  return row;
}

// Applies a summary from the stream. Returns whether it is a new version.
export function applyOrder(order) {
  const { view, versions } = shown;
  if (order.customer_id !== view.customer || versions.get(order.order_id) >= order.version) return false;
  versions.set(order.order_id, order.version);
  if (byId("detail").open && byId("detail").dataset.order === order.order_id) showDetail(order);
  const row = [...rows.rows].find((other) => other.order.order_id === order.order_id);
  const fits = view.statuses.length === 0 || view.statuses.includes(order.status);
  if (row && !fits) keepFocus(() => row.remove());
  else if (row) highlight(fill(row, order));
  else if (fits && belongsHere(order)) highlight(insert(order));
  // Reload if a removed row makes room for an older order, or if the page has no rows to compare the order with.
  shown.needsReload ||= (row && !fits && shown.hasOlder) || (fits && rows.rows.length === 0);
  describe();
  return true;
}

// Newest first; the id breaks ties. Without the Z, times sort correctly as text, whatever their number of digits.
const key = (order) => `${order.placed_at.slice(0, -1)} ${order.order_id}`;

function belongsHere(order) {
  const [first, last] = [rows.rows[0], rows.rows[rows.rows.length - 1]];
  const isNotNewer = !shown.view.cursor || (first && key(order) < key(first.order));
  return isNotNewer && (!shown.hasOlder || (last && key(order) > key(last.order)));
}

function insert(order) {
  const row = fill(newRow(), order);
  rows.insertBefore(row, [...rows.rows].find((other) => key(other.order) < key(order)) ?? null);
  return row;
}

function highlight(row) {
  row.classList.remove("changed");
  // Reading the layout restarts the animation.
  void row.offsetWidth;
  row.classList.add("changed");
}

export function showDetail(order) {
  const fields = {
    Order: order.order_id,
    Customer: isolated(order.customer_id),
    Status: order.status,
    Placed: when(order.placed_at),
    Items: order.item_count,
    "Last SKU": isolated(order.last_item_sku),
    Total: money(order.total_cents),
    Version: order.version,
  };
  const value = (content) => {
    const field = document.createElement("dd");
    field.append(content);
    return field;
  };
  const list = byId("detail").querySelector("dl");
  const pairs = Object.entries(fields).flatMap(([name, content]) => [element("dt", name), value(content)]);
  list.replaceChildren(...pairs);
}

// Moves the focus by this number of orders.
export function moveFocus(by) {
  const buttons = [...rows.querySelectorAll(".open")];
  const next = buttons.indexOf(document.activeElement) + by;
  buttons[Math.max(0, Math.min(next, buttons.length - 1))]?.focus();
}
