// The search, and the filter of the list.

import { shown } from "./list.js";
import { byId, showText } from "./text.js";
import { zone } from "./time.js";
import { isTokenLike } from "./token.js";
import { fragmentOf, isList, orderFragment, orderIdFrom, viewFrom } from "./view.js";

const boxes = [...document.querySelectorAll("#statuses input")];
const days = { from: byId("from"), to: byId("to") };

// Shows the filter of this view.
export function openFilter(view) {
  byId("search-text").value = view.customer;
  byId("search-text").setCustomValidity("");
  boxes.forEach((box) => (box.checked = view.statuses.includes(box.value)));
  for (const [name, field] of Object.entries(days)) {
    // Setting a value moves the cursor to its first part, and the user may be typing in another.
    if (field.value !== view[name]) field.value = view[name];
  }
  showText("zone", zone());
  const isToShip = view.isOfAll && view.statuses.join() === "paid";
  mark("all", view.isOfAll && !isToShip);
  mark("to-ship", isToShip);
}

function mark(id, isCurrent) {
  if (isCurrent) byId(id).setAttribute("aria-current", "page");
  else byId(id).removeAttribute("aria-current");
}

// As the user has set it. It begins with the newest page: a cursor fits only its own filter.
function filter() {
  const statuses = boxes.filter((box) => box.checked).map((box) => box.value);
  return { statuses, from: days.from.value, to: days.to.value, cursor: "" };
}

// `open` gets the fragment to be opened.
export function watchFilter(open) {
  // The address of the page is kept in the history of the browser, and is copied.
  byId("search-text").addEventListener("input", ({ target }) => {
    const isToken = isTokenLike(target.value);
    target.setCustomValidity(isToken ? "This is an access token, not a customer or an order id." : "");
  });
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("search-text").value.trim();
    const orderId = orderIdFrom(text);
    if (orderId) open(orderFragment(orderId));
    else if (text) open(fragmentOf({ ...viewFrom(""), ...filter(), customer: text }));
  });
  // Before a search there is no list to narrow.
  const narrow = () => isList(shown.view) && open(fragmentOf({ ...shown.view, ...filter() }));
  byId("statuses").addEventListener("change", narrow);
  // A year is typed digit by digit: 2, 20 and 202 are before `min`.
  byId("days").addEventListener("change", ({ target }) => target.validity.valid && narrow());
}
