// The views of the page: a list, and over it one order. The fragment, which no server sees, says which ones.

import { Problem } from "./api.js";
import "./ask.js";
import { closeOrder, openOrder, openedOrder, stopOrder, takeEvent, takeState } from "./detail.js";
import { openFilter, watchFilter } from "./filter.js";
import "./keys.js";
import { resetTo, shown } from "./list.js";
import { followCustomer, pollAll, showConnection, showProblem } from "./load.js";
import { rowOf } from "./rows.js";
import { byId, isolatedInTitle, showText } from "./text.js";
import { tokenEvents } from "./token.js";
import { fragmentOf, isList, orderFragment, orderIdFrom, viewFrom } from "./view.js";

let abortView = new AbortController();
// Shown by the next view: the reason why it was opened.
let notice = "";

// --- Views

// The entry of an order in the history knows the list that the order is shown over.
function route() {
  const named = new URLSearchParams(location.hash.slice(1)).get("order");
  // The API reads an id in capital letters or without hyphens, too. Events and rows have it in one form.
  const orderId = named && (orderIdFrom(named) ?? named);
  const list = orderId ? (history.state?.list ?? "#") : location.hash;
  if (fragmentOf(viewFrom(list)) !== fragmentOf(shown.view)) openList(viewFrom(list));
  if (!orderId && openedOrder()) closeOrder();
  if (orderId && orderId !== openedOrder()) openOrder(orderId, rowOf(orderId)?.order, showListOf);
  byId("hint").hidden = isList(shown.view) || Boolean(orderId);
  showTitle(orderId);
}

function openList(view) {
  abortView.abort();
  abortView = new AbortController();
  resetTo(view);
  openFilter(view);
  byId("last-change").textContent = "";
  showText("notice", notice);
  notice = "";
  showProblem(null);
  showConnection(isList(view) ? "connecting" : "idle");
  // The keys for the list work outside of the search field.
  if (isList(view) && document.activeElement === byId("search-text")) byId("main").focus();
  if (view.isOfAll) pollAll({ openFirstPage }, abortView.signal);
  if (view.customer) {
    followCustomer({ openFirstPage, onEvent: takeEvent, onState: takeState }, abortView.signal);
  }
}

function showTitle(orderId) {
  const { view } = shown;
  const list = view.isOfAll ? "All customers" : view.customer && isolatedInTitle(view.customer);
  document.title = [orderId && `Order …${orderId.slice(-8)}`, list, "Orders"].filter(Boolean).join(" · ");
}

// The server rejects the cursor: the bookmark is so old that its key is no longer in use, or the link was cut short.
function openFirstPage() {
  notice = "This link to an older page is no longer valid. These are the newest orders.";
  abortView.abort();
  const list = fragmentOf({ ...shown.view, cursor: "" });
  if (!openedOrder()) return location.replace(list);
  history.replaceState({ ...history.state, list }, "");
  route();
}

// --- The access token

// Nothing is requested until there is another token. What is shown stays, and is no longer live.
tokenEvents.addEventListener("needed", () => {
  const problem = new Problem(401, {});
  abortView.abort();
  showConnection("idle");
  showProblem(problem);
  stopOrder(problem);
});

// It may allow other things: all is loaded again.
tokenEvents.addEventListener("entered", () => {
  const orderId = openedOrder();
  openList(shown.view);
  if (orderId) openOrder(orderId, undefined, showListOf);
});

// --- One order

function openFromList(row) {
  const orderId = row.order.order_id;
  row.querySelector(".open").focus();
  history.pushState({ list: fragmentOf(shown.view), isBehind: true }, "", orderFragment(orderId));
  route();
}

// An order that was not opened from a list is shown over that of its customer.
function showListOf(customer) {
  if (history.state?.list) return;
  history.replaceState({ list: fragmentOf({ ...viewFrom(""), customer }) }, "");
  route();
}

// The dialog was closed by a button, by Escape, or by a click beside it; not by a change of the fragment.
function leaveOrder() {
  if (!openedOrder()) return;
  const { list, isBehind } = history.state ?? {};
  if (isBehind) history.back();
  else location.replace(list ?? "#");
}

const isBeside = (event) => {
  const { left, right, top, bottom } = byId("detail").getBoundingClientRect();
  const { clientX: x, clientY: y } = event;
  return event.target === byId("detail") && (x < left || x > right || y < top || y > bottom);
};

let pressedBeside = false;
byId("detail").addEventListener("pointerdown", (event) => (pressedBeside = isBeside(event)));
byId("detail").addEventListener("click", (event) => pressedBeside && isBeside(event) && byId("detail").close());
byId("detail").addEventListener("close", leaveOrder);
byId("close").addEventListener("click", () => byId("detail").close());

// --- Rows

const DOUBLE_CLICK = 250;
let opening = 0;

// A click on a row opens it; on its link with the keys of the browser, in another tab. Selecting text, also with a
// double click, opens nothing.
byId("list").querySelector("tbody").addEventListener("click", (event) => {
  clearTimeout(opening);
  const link = event.target.closest("a");
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (event.target.closest("button") || (link && !link.matches(".open"))) return;
  if (link) event.preventDefault();
  const row = event.target.closest("tr");
  // The keyboard's Enter is a click with the detail 0. A touch selects by being long.
  if (event.detail === 0 || event.pointerType === "touch") return openFromList(row);
  const isSelecting = () => getSelection().toString() !== "";
  if (isSelecting()) return;
  opening = setTimeout(() => isSelecting() || openFromList(row), DOUBLE_CLICK);
});

watchFilter((fragment) => {
  if (fragmentOf(viewFrom(fragment)) === fragmentOf(shown.view) && !openedOrder()) openList(shown.view);
  location.hash = fragment;
});
addEventListener("hashchange", route);
addEventListener("popstate", route);
if (history.state?.isSignedOut) notice = "You are signed out. The access token is forgotten.";
openList(viewFrom(""));
route();
