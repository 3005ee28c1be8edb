// Follows the stream of a customer's changes. A tab holds one stream at most.

import { Problem, events } from "./api.js";
import { sleep, visible } from "./wait.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;

let abortStream = new AbortController();

// Closes the stream, which then resumes: over HTTP/1.1 browsers open only six connections to a host, for all tabs
// together.
export const freeConnection = () => abortStream.abort();

// A hidden tab holds no stream.
document.addEventListener("visibilitychange", () => document.hidden && freeConnection());

// Follows the stream until `signal`; after an interruption it resumes. The listener has `handle(event, signal)`, which
// applies an event, `needsReload()`, which says that it could not apply all of them, `show(state)`, and
// `showProblem(problem)`.
export async function follow(customer, listener, signal) {
  let last = null;
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    await visible(signal);
    abortStream = new AbortController();
    try {
      const either = AbortSignal.any([signal, abortStream.signal]);
      for await (const event of events(customer, last, either)) {
        pause = FIRST_PAUSE;
        last = event.id;
        await listener.handle(event, signal);
        if (abortStream.signal.aborted) break;
        // If loading failed, the next event tries again.
        listener.show(listener.needsReload() ? "reconnecting" : "live");
        if (!listener.needsReload()) listener.showProblem(null);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem) listener.showProblem(error);
      if (error.isFinal) return listener.show("idle");
    }
    if (signal.aborted) return;
    listener.show(document.hidden ? "paused" : "reconnecting");
    // Resume at once if the stream was closed on purpose: for a hidden tab, or for a list that has been loaded.
    if (abortStream.signal.aborted && !listener.needsReload()) continue;
    await sleep(pause * (0.5 + Math.random()), signal);
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }
}
