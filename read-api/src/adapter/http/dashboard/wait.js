// Waiting that ends with a view.

// Until the tab is visible.
export const visible = (signal) =>
  new Promise((done) => {
    if (!document.hidden || signal.aborted) return done();
    signal.addEventListener("abort", done, { once: true });
    document.addEventListener("visibilitychange", done, { once: true, signal });
  });

// Ends early when the tab is shown, because the user is waiting.
export const sleep = (time, signal) =>
  new Promise((done) => {
    if (signal.aborted) return done();
    const over = AbortSignal.any([signal, AbortSignal.timeout(time)]);
    over.addEventListener("abort", done, { once: true });
    document.addEventListener("visibilitychange", done, { signal: over });
  });
