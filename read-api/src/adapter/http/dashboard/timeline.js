// The steps of an order: those that were taken, and those to come.

import { byId, element } from "./text.js";
import { moment } from "./time.js";

const STEPS = ["placed", "paid", "shipped", "delivered"];

// A cancelled order had been paid before if this was its third version.
function stepsOf({ status, version }) {
  if (status === "cancelled") return version >= 3 ? ["placed", "paid", "cancelled"] : ["placed", "cancelled"];
  return STEPS;
}

// Undefined while only the summary is known, null if nobody knows the time.
function timeOf(time) {
  if (time === undefined) return element("span", "…", { className: "quiet" });
  return time ? moment(time) : element("span", "time not known", { className: "quiet" });
}

export function showTimeline(order) {
  const steps = stepsOf(order);
  const current = steps.indexOf(order.status);
  const items = steps.map((step, index) => {
    const isTaken = index <= current;
    const when = isTaken ? timeOf(order[`${step}_at`]) : element("span", "not yet", { className: "quiet" });
    const item = element("li", [element("b", step), when], { className: isTaken ? "taken" : "to-come" });
    item.dataset.status = step;
    if (index === current) item.setAttribute("aria-current", "step");
    return item;
  });
  byId("steps").replaceChildren(...items);
}
