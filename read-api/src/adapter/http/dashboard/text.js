// Formats values for people.

const amount = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

// Formats through a decimal string: as a float, a total near 2^53 would lose its last digits.
export function money(cents) {
  const digits = BigInt(cents).toString().padStart(3, "0");
  return amount.format(`${digits.slice(0, -2)}.${digits.slice(-2)}`);
}

export const when = (time) => moment.format(new Date(time));
export const timeOfDay = (time) => clock.format(time);

export const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });

// Isolates text that a customer has chosen: it may run right to left, and must not change the direction of the text
// around it.
export const isolated = (text) => element("bdi", text);

// The same for the title, which has no elements. Removes direction controls, which could end the isolation.
const DIRECTION_CONTROLS = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g;
export const isolatedInTitle = (text) => `\u2068${text.replace(DIRECTION_CONTROLS, "")}\u2069`;
