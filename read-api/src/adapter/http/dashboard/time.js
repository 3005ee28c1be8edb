// Times for people: absolute, with the time zone, and relative, kept up to date while it is shown.

import { element, update } from "./text.js";

const minutes = { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit" };
const absolute = new Intl.DateTimeFormat(undefined, { ...minutes, timeZoneName: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "full" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "long" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "always" });

const UNITS = Object.entries({
  year: 31_536_000,
  month: 2_592_000,
  day: 86_400,
  hour: 3_600,
  minute: 60,
  second: 1,
});

export const timeOfDay = (time) => clock.format(time);

// A day of the fragment, such as 2026-11-23, at its beginning or at that of a later day. It is not a valid time if the
// text is none.
export const startOf = (day, later = 0) => {
  const start = new Date(`${day}T00:00`);
  start.setDate(start.getDate() + later);
  return start;
};

export const isValid = (time) => !Number.isNaN(time.getTime());
export const dayInWords = (day) => (isValid(startOf(day)) ? calendar.format(startOf(day)) : day);
export const zone = () => absolute.formatToParts().find((part) => part.type === "timeZoneName").value;

// A time on another clock may be a little later than now.
function ago({ time, smallest }) {
  const seconds = Math.max(0, (Date.now() - new Date(time)) / 1000);
  const unit = UNITS.find(([, size]) => seconds >= size && size >= smallest);
  return unit ? relative.format(-Math.floor(seconds / unit[1]), unit[0]) : "just now";
}

// How long ago the time was. Without `smallest`, only from a minute on: a list must not flicker.
export function age(time, smallest = 60) {
  const shown = element("span", "", { className: "ago" });
  Object.assign(shown.dataset, { time, smallest });
  shown.textContent = ago(shown.dataset);
  return shown;
}

export function moment(time) {
  const date = new Date(time);
  const shown = element("time", [element("span", absolute.format(date)), " ", age(time)], { dateTime: time });
  shown.title = full.format(date);
  return shown;
}

function refresh() {
  if (document.hidden) return;
  for (const shown of document.querySelectorAll(".ago")) {
    update(shown, ago(shown.dataset));
  }
}

setInterval(refresh, 1000);
document.addEventListener("visibilitychange", refresh);
