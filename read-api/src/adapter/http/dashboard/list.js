// The list on the page: its rows, and the text around them.

import { fill, highlight, insert, key, newRow, removeRow, replaceRows, rowOf, rows } from "./rows.js";
import { byId, element, isolated } from "./text.js";
import { timeOfDay } from "./time.js";
import { daysInWords, isFiltered, ordersInWords } from "./view.js";
import { fragmentOf, isList, matches, viewFrom, withoutFilter } from "./view.js";

// What is shown: the view, whether there are older orders than those in the rows, whether the rows must be reloaded,
// the highest known version of each order, the time at which the rows were last known to be up to date, and whether
// they may have changed since.
export const shown = { view: viewFrom("") };
// A cursor leads only to older orders. The way back: the page from which each older one was linked.
const newerPages = new Map();

// Opens a view, of which nothing has been loaded yet.
export function resetTo(view) {
  const nothing = { hasOlder: false, needsReload: false, versions: new Map(), liveAt: null, isNotLive: false };
  Object.assign(shown, { view, ...nothing });
  replaceRows([]);
  byId("list").hidden = byId("empty").hidden = byId("pages").hidden = byId("keys").hidden = true;
  byId("loading").hidden = !isList(view);
  byId("list").classList.toggle("of-all", view.isOfAll);
}

// With `marksChanges`, rows that are new or have a new version are highlighted.
export function showPage({ orders, next_cursor }, { marksChanges = false } = {}) {
  const known = new Map(rows().map((row) => [row.order.order_id, row]));
  const isFirst = shown.liveAt === null;
  const page = orders.map((order) => {
    const row = known.get(order.order_id);
    const isChanged = !row || row.order.version < order.version;
    const filled = row ? fill(row, order) : newRow(order);
    filled.classList.toggle("changed", marksChanges && !isFirst && isChanged);
    return filled;
  });
  replaceRows(page);
  orders.forEach((order) => shown.versions.set(order.order_id, order.version));
  shown.hasOlder = next_cursor !== null;
  shown.liveAt ??= new Date();
  showLinks(next_cursor);
  describe();
}

function showLinks(nextCursor) {
  const here = fragmentOf(shown.view);
  const older = shown.hasOlder && fragmentOf({ ...shown.view, cursor: nextCursor });
  const newest = shown.view.cursor && fragmentOf({ ...shown.view, cursor: "" });
  const newer = shown.view.cursor && newerPages.get(here);
  if (older) newerPages.set(older, here);
  link("older", older);
  link("newer", newer !== newest && newer);
  link("newest", newest);
  byId("pages").hidden = byId("keys").hidden = false;
}

function link(id, fragment) {
  if (fragment) byId(id).href = fragment;
  else byId(id).removeAttribute("href");
}

// While the list is live, the rows are up to date; otherwise they may have changed.
export function setLive(isLive) {
  if (isLive) shown.liveAt = new Date();
  shown.isNotLive = !isLive && shown.liveAt !== null;
  if (shown.liveAt) describe();
}

// Updates the text around the rows, or in place of them.
function describe() {
  const { view, liveAt, isNotLive } = shown;
  const [which, days] = [ordersInWords(view), daysInWords(view)];
  const isEmpty = rows().length === 0 && !shown.hasOlder;
  byId("loading").hidden = true;
  byId("list").hidden = isEmpty;
  byId("empty").hidden = !isEmpty;
  byId("list").classList.toggle("old", isNotLive);
  const asOf = () => element("span", `not live, as of ${timeOfDay(liveAt)}`, { className: "warning" });
  const warning = () => (isNotLive ? [" · ", asOf()] : []);
  const whose = view.isOfAll ? "All customers" : isolated(view.customer);
  byId("list").querySelector("caption").replaceChildren(whose, `: ${which}${days}, newest first`, ...warning());
  const none = `No ${view.cursor ? "older " : ""}${which}`;
  const message = view.isOfAll ? [none] : [`${none} of `, isolated(view.customer)];
  byId("none").replaceChildren(...message, ...(days ? [days] : []), ...warning());
  byId("check-id").hidden = view.isOfAll || view.cursor !== "" || isFiltered(view);
  byId("clear").hidden = !isFiltered(view);
  byId("clear").href = fragmentOf(withoutFilter(view));
}

// Applies a summary from the stream. Returns whether it is a new version.
export function applyOrder(order) {
  const { view, versions } = shown;
  const known = versions.get(order.order_id);
  if (order.customer_id !== view.customer || known > order.version) return false;
  const row = rowOf(order.order_id);
  if (known === order.version) {
    if (row) fill(row, order);
    return false;
  }
  versions.set(order.order_id, order.version);
  const fits = matches(view, order);
  if (row && !fits) removeRow(row);
  else if (row) highlight(fill(row, order));
  else if (fits && belongsHere(order)) highlight(insert(order));
  // Reload if a removed row makes room for an older order, or if the page has no rows to compare the order with.
  shown.needsReload ||= (row && !fits && shown.hasOlder) || (fits && rows().length === 0);
  describe();
  return true;
}

function belongsHere(order) {
  const [first, last] = [rows()[0], rows().at(-1)];
  const isNotNewer = !shown.view.cursor || (first && key(order) < key(first.order));
  return isNotNewer && (!shown.hasOlder || (last && key(order) > key(last.order)));
}
