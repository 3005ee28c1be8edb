// The rows of a list.

import { copyable } from "./copy.js";
import { money } from "./money.js";
import { byId, element, update } from "./text.js";
import { moment } from "./time.js";
import { fragmentOf, orderFragment, viewFrom } from "./view.js";

const body = byId("list").querySelector("tbody");

export const rows = () => [...body.rows];
export const rowOf = (orderId) => rows().find((row) => row.order.order_id === orderId);
export const removeRow = (row) => keepFocus(() => row.remove());

// Leaves rows in place where it can: text in them may be selected.
export function replaceRows(made) {
  const isKept = new Set(made);
  keepFocus(() => {
    rows().forEach((row) => isKept.has(row) || row.remove());
    made.forEach((row, i) => body.rows[i] === row || body.insertBefore(row, body.rows[i] ?? null));
  });
}

// Changes the rows. The focus stays on its order. If that order is removed, the focus moves to the row that is then
// at the same index.
function keepFocus(change) {
  const focused = document.activeElement;
  const row = rows().find((row) => row.contains(focused));
  const index = row?.sectionRowIndex;
  change();
  if (!row) return;
  if (row.isConnected) return focused.focus();
  const next = rows()[Math.min(index, rows().length - 1)];
  (next?.querySelector(".open") ?? byId("search-text")).focus();
}

export function newRow(order) {
  const row = byId("row").content.firstElementChild.cloneNode(true);
  const id = order.order_id;
  // The end of an id differs most.
  const link = element("a", [id.slice(0, -12), element("b", id.slice(-12))], { className: "open" });
  // The mouse cannot select the text of a link that it drags.
  Object.assign(link, { href: orderFragment(id), draggable: false });
  link.setAttribute("aria-label", `Order ${id}`);
  row.querySelector(".order").append(copyable(link, id, "order id"), moment(order.placed_at));
  return fill(row, order);
}

// The row keeps the higher version. In the same version, facts that were unknown may have become known.
export function fill(row, order) {
  if (row.order?.version > order.version) return row;
  row.order = order;
  const part = (selector) => row.querySelector(selector);
  part(".customer a").href = fragmentOf({ ...viewFrom(""), customer: order.customer_id });
  part(".status").dataset.status = order.status;
  update(part(".customer bdi"), order.customer_id);
  update(part(".status"), order.status);
  update(part(".items"), `${order.item_count} ${order.item_count === 1 ? "item" : "items"}`);
  update(part(".sku"), order.last_item_sku);
  update(part(".total"), money(order.total_cents, order.currency ?? null));
  return row;
}

// Newest first; the id breaks ties. Without the Z, times sort correctly as text, whatever their number of digits.
export const key = (order) => `${order.placed_at.slice(0, -1)} ${order.order_id}`;

export function insert(order) {
  const row = newRow(order);
  body.insertBefore(row, rows().find((other) => key(other.order) < key(order)) ?? null);
  return row;
}

export function highlight(row) {
  row.classList.remove("changed");
  // Reading the layout restarts the animation.
  void row.offsetWidth;
  row.classList.add("changed");
}

// Moves the focus by this number of orders.
export function moveFocus(by) {
  const links = [...body.querySelectorAll(".open")];
  const current = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
  links[Math.max(0, Math.min(current + by, links.length - 1))]?.focus();
}
