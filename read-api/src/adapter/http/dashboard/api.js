// Requests to read-api, and the stream of a customer's changes.

import { currentToken, isTokenNeeded, refuseToken } from "./token.js";

// Milliseconds without data after which a connection counts as dead. The server sends a heartbeat every 5 seconds.
export const SILENCE_LIMIT = 12_000;

// The server counts all requests of a caller, so other pages may have sent them.
const TOO_MANY = "Too many requests at once. The page tries again by itself. Closing other pages of orders helps.";

export class Problem extends Error {
  // `scopes`: one of them is needed.
  constructor(status, { type, title, detail, errors = [] }, scopes = []) {
    // A single error is already in the detail.
    const all = errors.map((error) => `${error.parameter ?? error.header ?? ""} ${error.detail}.`);
    const text = [detail ?? title, ...(errors.length > 1 ? all : [])].join(" ");
    super(status === 429 ? TOO_MANY : text);
    this.isUnauthenticated = status === 401;
    // There are other 403: without tokens, a request from elsewhere is refused.
    this.isForbidden = status === 403 && String(type).endsWith("/insufficient-scope");
    this.scopes = scopes;
    this.isMissing = status === 404;
    // A retry cannot succeed. Timeouts (408), too many requests (429) and errors of the server are temporary.
    this.isFinal = status < 500 && status !== 408 && status !== 429;
    this.parameters = errors.map((error) => error.parameter);
  }
}

// Fails without a request while a token is needed: then only the user can help.
export async function request(path, signal, headers = {}) {
  const token = currentToken();
  if (isTokenNeeded()) {
    refuseToken(token);
    throw new Problem(401, { title: "An access token is needed." });
  }
  const authorization = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { signal, headers: { ...headers, ...authorization } });
  if (response.ok) return response;
  const unknown = { title: `The server responded with status ${response.status}.` };
  const [, scopes = ""] = response.headers.get("WWW-Authenticate")?.match(/\bscope="([^"]*)"/) ?? [];
  const document = await response.json().catch(() => unknown);
  if (response.status === 401) refuseToken(token);
  throw new Problem(response.status, document, scopes.split(" ").filter(Boolean));
}

export const ordersPath = (customer) => `/customers/${encodeURIComponent(customer)}/orders`;

// Yields the events of a customer's stream after the one with the id `last`. Ends when the connection does, or when
// it has been silent for too long.
export async function* events(customer, last, signal) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_LIMIT);
  try {
    const query = last ? `?${new URLSearchParams({ last_event_id: last })}` : "";
    const path = `${ordersPath(customer)}/stream${query}`;
    const response = await request(path, AbortSignal.any([signal, silence.signal]));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_LIMIT);
      const blocks = (text + part.value).split("\n\n");
      text = blocks.pop();
      yield* blocks.map(parse).filter((event) => event.event);
    }
  } finally {
    clearTimeout(timer);
    // Close the connection if the caller stops early.
    silence.abort();
  }
}

function parse(block) {
  return Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
}
