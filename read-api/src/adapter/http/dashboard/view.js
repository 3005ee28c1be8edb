// The list that the fragment, which no server sees, asks for:
// #customer=alice&status=paid&from=2026-11-01&to=2026-11-30&cursor=…, or #orders&status=paid for all customers.

import { ordersPath } from "./api.js";
import { dayInWords, isValid, startOf } from "./time.js";

export function viewFrom(fragment) {
  const parameters = new URLSearchParams(fragment.slice(1));
  const text = (name) => parameters.get(name) ?? "";
  return {
    isOfAll: parameters.has("orders"),
    customer: parameters.has("orders") ? "" : text("customer"),
    statuses: parameters.getAll("status"),
    from: text("from"),
    to: text("to"),
    cursor: text("cursor"),
  };
}

const filterOf = ({ statuses, from, to, cursor }, names) => {
  const pairs = [...statuses.map((status) => ["status", status]), [names[0], from], [names[1], to], ["cursor", cursor]];
  return pairs.filter(([, value]) => value);
};

export function fragmentOf(view) {
  const list = view.isOfAll ? "orders" : `${new URLSearchParams({ customer: view.customer })}`;
  const filter = `${new URLSearchParams(filterOf(view, ["from", "to"]))}`;
  if (!filter && !view.isOfAll && !view.customer) return "#";
  return `#${list}${filter && "&"}${filter}`;
}

// The id in the notation of the API, or null if the text is no id of an order.
export function orderIdFrom(text) {
  const digits = text.toLowerCase().replaceAll("-", "");
  const parts = digits.match(/^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/);
  return parts && parts.slice(1).join("-");
}

export const orderFragment = (orderId) => `#order=${orderId}`;

export const isList = ({ isOfAll, customer }) => isOfAll || customer !== "";
export const isFiltered = ({ statuses, from, to }) => statuses.length > 0 || from !== "" || to !== "";
export const withoutFilter = (view) => ({ ...view, statuses: [], from: "", to: "", cursor: "" });

// Both days are included. A text that is no day goes to the server, which names the fault.
const bounds = ({ from, to }) => [from && startOf(from), to && startOf(to, 1)];

export function listPath(view) {
  const path = view.isOfAll ? "/orders" : ordersPath(view.customer);
  const texts = bounds(view).map((time, i) => (time && isValid(time) ? time.toISOString() : [view.from, view.to][i]));
  const filter = filterOf({ ...view, from: texts[0], to: texts[1] }, ["placed_from", "placed_to"]);
  return `${path}?${new URLSearchParams(filter)}`;
}

export function matches(view, order) {
  const [from, to] = bounds(view);
  const placed = new Date(order.placed_at);
  const hasStatus = view.statuses.length === 0 || view.statuses.includes(order.status);
  return hasStatus && !(from && placed < from) && !(to && placed >= to);
}

// What the list contains, such as `paid or shipped orders`, and of which days, such as ` placed since Nov 1, 2026`.
export const ordersInWords = ({ statuses }) => (statuses.length ? `${statuses.join(" or ")} orders` : "orders");

export function daysInWords({ from, to }) {
  if (!from && !to) return "";
  const [first, last] = [dayInWords(from), dayInWords(to)];
  if (from === to) return ` placed on ${first}`;
  if (from && to) return ` placed from ${first} to ${last}`;
  return ` placed ${from ? `since ${first}` : `until ${last}`}`;
}
