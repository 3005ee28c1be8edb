// Text with a button that copies it.

import { byId, element } from "./text.js";

const SHOWN_FOR = 2_500;

// `shown` with a button that copies `text`, of which `name` is the description.
export function copyable(shown, text, name) {
  const button = byId("copy").content.firstElementChild.cloneNode(true);
  button.setAttribute("aria-label", `Copy ${name}`);
  button.title = `Copy ${name}`;
  const whole = element("span", [shown, button, element("output", "")], { className: "copyable" });
  button.addEventListener("click", () => copy(text, whole));
  return whole;
}

// Without permission for the clipboard, or without HTTPS, the text is selected: the user can copy it.
async function copy(text, whole) {
  const output = whole.querySelector("output");
  output.textContent = "";
  try {
    await navigator.clipboard.writeText(text);
    output.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(whole.firstElementChild);
    output.textContent = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C or ⌘C";
  }
  clearTimeout(output.timer);
  output.timer = setTimeout(() => (output.textContent = ""), SHOWN_FOR);
}
