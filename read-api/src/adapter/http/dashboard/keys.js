// Keys outside of text fields, while no dialog is open.

import { moveFocus } from "./rows.js";
import { byId } from "./text.js";

const clickFirst = (...ids) => () => ids.map(byId).find((link) => link.checkVisibility() && link.href)?.click();
const search = () => (byId("search-text").focus(), byId("search-text").select());
const [next, previous] = [() => moveFocus(1), () => moveFocus(-1)];

const ACTIONS = {
  "/": search,
  j: next,
  k: previous,
  ArrowDown: next,
  ArrowUp: previous,
  ArrowLeft: clickFirst("newer", "newest"),
  ArrowRight: clickFirst("older"),
};

const isDialogOpen = () => document.querySelector("dialog[open]") !== null;

addEventListener("keydown", (event) => {
  const isModified = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key !== "/");
  if (isModified || event.target.matches("input") || isDialogOpen() || !ACTIONS[event.key]) return;
  event.preventDefault();
  ACTIONS[event.key]();
});
