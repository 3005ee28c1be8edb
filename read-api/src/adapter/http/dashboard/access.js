// Says that the token is missing, or what it does not allow.

import { askForAnother } from "./ask.js";
import { byId, element, isolated } from "./text.js";
import { claimsOf, currentToken } from "./token.js";
import { fragmentOf, viewFrom } from "./view.js";

const code = (text) => element("code", text);

// Shows the problem in the element with this id if it is one of access, and returns whether it is. `what` is what could
// not be loaded: texts or nodes.
export function showAccess(id, problem, what) {
  const isOfAccess = Boolean(problem?.isUnauthenticated || problem?.isForbidden);
  byId(id).hidden = !isOfAccess;
  if (isOfAccess) byId(id).replaceChildren(...(problem.isForbidden ? forbidden(problem, what) : unauthenticated()));
  return isOfAccess;
}

function unauthenticated() {
  return [strong("An access token is needed."), button("Enter a token")];
}

function forbidden({ scopes }, what) {
  const claims = claimsOf(currentToken() ?? "");
  return [
    strong("This token does not allow ", ...what, "."),
    ...(scopes.length ? [element("p", ["Needed: ", ...joined(scopes.map(needed), ", or "), "."])] : []),
    ...(claims?.scopes ? [element("p", allowed(claims))] : []),
    ...(claims?.customer ? [linkTo(claims.customer)] : []),
    button("Use another token"),
  ];
}

const strong = (...content) => element("p", element("strong", content));
const joined = (parts, separator) => parts.flatMap((part, i) => (i ? [separator, ...part] : part));
// A scope for all customers, or one that a customer's token has for that customer.
const needed = (scope) => [code(scope), ...(scope.endsWith(":any") ? [] : [" in that customer's own token"])];

function allowed({ scopes, customer }) {
  const named = scopes.length ? joined(scopes.map((scope) => [code(scope)]), ", ") : ["no scope"];
  const whose = customer ? [", and only for the customer ", isolated(customer)] : [];
  return ["This token has: ", ...named, ...whose, "."];
}

function linkTo(customer) {
  const link = element("a", ["Show the orders of ", isolated(customer)]);
  link.href = fragmentOf({ ...viewFrom(""), customer });
  return element("p", link);
}

function button(text) {
  const made = element("button", text, { type: "button" });
  made.addEventListener("click", askForAnother);
  return element("p", made);
}
