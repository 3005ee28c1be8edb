//! Where a Gateway sends requests.

use anyhow::{Context, Result};
use serde_json::Value;

use super::rendered::items;

/// A request: its method, its path, and for OPTIONS the method that a page is about to use.
type Request<'a> = (&'a str, &'a str, Option<&'a str>);

/// Requests, and the process that each goes to: as in `deploy/haproxy/haproxy.cfg`.
pub(super) const ROUTES: [(Request<'_>, &str); 14] = [
    (("POST", "/orders", None), "write-api"),
    (("POST", "/orders/1/pay", None), "write-api"),
    (("POST", "/events", None), "write-api"),
    (("POST", "/customers/bob/orders", None), "write-api"),
    (("OPTIONS", "/orders", Some("POST")), "write-api"),
    (("OPTIONS", "/orders/1/pay", Some("POST")), "write-api"),
    (("OPTIONS", "/orders", Some("GET")), "read-api"),
    (("OPTIONS", "/events", Some("GET")), "projector"),
    (("GET", "/events", None), "projector"),
    (("GET", "/events/1", None), "read-api"),
    (("GET", "/orders", None), "read-api"),
    (("GET", "/customers/bob/orders/stream", None), "read-api"),
    (("HEAD", "/orders/1", None), "read-api"),
    (("GET", "/", None), "read-api"),
];

/// The rule of the route for a request: the most specific path counts, then a method, then headers.
pub(super) fn rule_for<'a>(route: &'a Value, (method, path, asked): Request<'_>) -> Result<&'a Value> {
    let matches = items(&route["spec"]["rules"])
        .flat_map(|rule| items(&rule["matches"]).map(move |condition| (rule, condition)));
    let matching = matches.filter(|(_, condition)| {
        let has_method = condition["method"].is_null() || condition["method"] == method;
        let has_headers = items(&condition["headers"]).all(|header| {
            header["name"] == "access-control-request-method"
                && Some(&header["value"]) == asked.map(Value::from).as_ref()
        });
        has_path(&condition["path"], path) && has_method && has_headers
    });
    let best = matching.max_by_key(|(_, condition)| {
        let prefix = condition["path"]["value"].as_str().map(str::len);
        (
            condition["path"]["type"] == "Exact",
            prefix,
            condition["method"].is_string(),
            items(&condition["headers"]).count(),
        )
    });
    Ok(best.with_context(|| format!("no rule for {method} {path}"))?.0)
}

fn has_path(condition: &Value, path: &str) -> bool {
    let Some(value) = condition["value"].as_str() else { return false };
    if condition["type"] == "Exact" {
        return path == value;
    }
    let rest = path.strip_prefix(value.trim_end_matches('/'));
    condition["type"] == "PathPrefix" && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
