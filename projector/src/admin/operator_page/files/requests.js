// Requests to the projector.

const LIMIT = 12_000;

export class Problem extends Error {
  constructor(message, { status = 0 } = {}) {
    super(message);
    this.status = status;
  }
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(LIMIT) });
  } catch {
    throw new Problem("The projector cannot be reached.");
  }
  if (response.ok) return response;
  const document = await response.json().catch(() => ({}));
  const text = document.detail ?? `The projector responded with status ${response.status}.`;
  throw new Problem(text, { status: response.status });
}

const read = async (path) => {
  const response = await request(path);
  return response.json().catch(() => {
    throw new Problem("The projector cannot be reached.");
  });
};

export const readState = () => read("/operator/state");

export function readParked(subscription, after) {
  const query = new URLSearchParams();
  if (subscription) query.set("subscription", subscription);
  if (after !== null) query.set("after", after);
  return read(`/operator/parked?${query}`);
}

export const act = (action) =>
  request("/operator/actions", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Orders-Action": "1" },
    body: JSON.stringify(action),
  });
