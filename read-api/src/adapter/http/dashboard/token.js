// The user's access token. It is in the memory of this page only: when the page is closed or loaded again, it is gone.

let token = null;
// The server has refused the token, or demands one. Nothing is sent until the user enters another.
let isNeeded = false;

// `needed`: requests have stopped, because a token is needed. `entered`: there is a new one.
export const tokenEvents = new EventTarget();

export const currentToken = () => token;
export const isTokenNeeded = () => isNeeded;

// The server has refused a request with the token `used`; `null` for none. Returns whether that is the current one:
// a late response to a request with an older token says nothing about its successor.
export function refuseToken(used) {
  if (used !== token) return false;
  token = null;
  isNeeded = true;
  tokenEvents.dispatchEvent(new CustomEvent("needed", { detail: used }));
  return true;
}

export function enterToken(entered) {
  token = entered;
  isNeeded = false;
  tokenEvents.dispatchEvent(new Event("entered"));
}

// The token in a text that a user has pasted, perhaps with the name of the header and of the scheme; `null` if there
// is none. These are the characters that a header may carry after `Bearer` (RFC 6750, 2.1).
export function tokenFrom(text) {
  const found = text.trim().replace(/^authorization\s*:\s*/i, "").replace(/^bearer(\s+|$)/i, "");
  return /^[\w.~+/-]+=*$/.test(found) ? found : null;
}

// Whether a text begins like a JWT. A field may have cut it.
export const isTokenLike = (text) => /^eyJ[\w-]{16,}/.test(tokenFrom(text) ?? "");

// What a token says, to explain a refusal; only the server verifies it. `null` if it cannot be read. Without the claim
// `scope` or `customer_id` that member is `null`: the server may take it from another claim.
export function claimsOf(token) {
  try {
    const binary = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const { scope = null, customer_id = null, exp } = JSON.parse(new TextDecoder().decode(bytes));
    const scopes = scope === null || Array.isArray(scope) ? scope : `${scope}`.split(" ");
    return { scopes: scopes && scopes.filter(Boolean), customer: customer_id, expires: new Date(1_000 * exp) };
  } catch {
    return null;
  }
}
