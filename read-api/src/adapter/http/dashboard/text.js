// Text from customers and for people.

export const byId = (id) => document.getElementById(id);

// An element with this content: texts or nodes.
export function element(name, content, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...[content].flat());
  return made;
}

// Shows the text, or hides the element if there is none.
export function showText(id, text) {
  byId(id).hidden = !text;
  update(byId(id), text);
}

// An unchanged text is left alone: it may be selected, and a screen reader must not repeat it.
export function update(node, text) {
  if (node.textContent !== `${text}`) node.textContent = text;
}

// Isolates text that a customer has chosen: it may run right to left, and must not change the direction of the text
// around it.
export const isolated = (text) => element("bdi", text);

// The same for the title, which has no elements. Removes direction controls, which could end the isolation.
const DIRECTION_CONTROLS = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g;
export const isolatedInTitle = (text) => `\u2068${text.replace(DIRECTION_CONTROLS, "")}\u2069`;
