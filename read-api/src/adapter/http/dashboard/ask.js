// Asks the user for an access token.

import { claimsOf, enterToken, tokenEvents, tokenFrom } from "./token.js";
import { byId, showText } from "./text.js";

const FIRST = "This server shows orders only to callers with an access token.";
const REFUSED = "The server did not accept the token. Enter another one.";
const EXPIRED = "The token has expired. Enter a new one.";
const ANOTHER = "Enter the token to use from now on.";

function reason(refused) {
  if (!refused) return FIRST;
  return claimsOf(refused)?.expires < new Date() ? EXPIRED : REFUSED;
}

// The dialog is above all others, also if an order has been opened over it.
function ask(why) {
  byId("token").close();
  byId("token-why").textContent = why;
  showError("");
  byId("token").showModal();
}

export const askForAnother = () => ask(ANOTHER);

function showError(text) {
  showText("token-error", text);
  byId("token-text").setAttribute("aria-invalid", text !== "");
}

tokenEvents.addEventListener("needed", ({ detail }) => ask(reason(detail)));
// The text must not outlast the dialog: it is the token.
byId("token").addEventListener("close", () => (byId("token-text").value = ""));
byId("token-cancel").addEventListener("click", () => byId("token").close());
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = tokenFrom(byId("token-text").value);
  if (!token) {
    showError("This is not a token. Paste the whole token, such as eyJhbGciOi…");
    return byId("token-text").focus();
  }
  byId("token").close();
  byId("sign-out").hidden = false;
  enterToken(token);
});

// A new document has neither the token nor what was loaded with it, and "Back" does not bring them back.
byId("sign-out").addEventListener("click", () => {
  history.replaceState({ isSignedOut: true }, "", "/");
  location.reload();
});
