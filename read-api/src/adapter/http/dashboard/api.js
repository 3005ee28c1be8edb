// Requests to read-api, and the stream of a customer's changes.

// The server sends something every 5 seconds.
export const SILENCE = 12_000;

export class Problem extends Error {
  constructor(status, { title, detail, errors = [] }) {
    // The detail already names a single fault.
    const faults = errors.length > 1 ? errors.map((fault) => `${fault.parameter ?? fault.header ?? ""} ${fault.detail}.`) : [];
    super([detail ?? title, ...faults].join(" "));
    // The same request cannot succeed later. A timeout of the request (408) or too many requests (429) pass, as errors of the server do.
    this.isFinal = status < 500 && status !== 408 && status !== 429;
    this.parameters = errors.map((fault) => fault.parameter);
  }
}

export async function ask(path, signal) {
  const response = await fetch(path, { signal });
  if (response.ok) return response;
  throw new Problem(response.status, await response.json().catch(() => ({ title: `The server answered ${response.status}.` })));
}

export const ordersPath = (customer) => `/customers/${encodeURIComponent(customer)}/orders`;

// The events of a customer's stream, from behind the one with the id `last`. Ends when the connection does, or has been silent for
// too long.
export async function* events(customer, last, signal) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE);
  try {
    const query = last ? `?${new URLSearchParams({ last_event_id: last })}` : "";
    const response = await ask(`${ordersPath(customer)}/stream${query}`, AbortSignal.any([signal, silence.signal]));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
      const blocks = (text + part.value).split("\n\n");
      text = blocks.pop();
      yield* blocks.map(parse).filter((event) => event.event);
    }
  } finally {
    clearTimeout(timer);
    // Closes the connection when the caller stops early.
    silence.abort();
  }
}

function parse(block) {
  return Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
}
