//! With `AUTH=off`, who may call: programs on this machine, and pages that it serves itself. A page of another site in
//! a browser on this machine reaches loopback addresses too: it can send simple requests there, or have its own name
//! resolve to one (DNS rebinding).

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use actix_web::http::uri::{Authority, Uri};
use metrics::Counter;

use super::text;
use crate::overload::OncePerSecond;
use crate::problem::{NOT_LOCAL, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Refuses callers that are not on this machine, counts and logs them.
pub struct Local {
    refused: Counter,
    line: OncePerSecond,
}

impl Local {
    pub(super) fn new(refused: Counter) -> Self {
        Self { refused, line: OncePerSecond::new() }
    }

    pub(super) fn check(&self, request: &ServiceRequest) -> Result<(), Problem> {
        if is_from_this_machine(request.request()) {
            return Ok(());
        }
        self.refused.increment(1);
        if let Some(times) = self.line.count() {
            let [host, origin] = [HOST, ORIGIN].map(|name| shown(request.headers(), &name));
            let target = request.uri().host().map(text::escaped).map(String::from);
            tracing::warn!(times, host, target, origin, "AUTH=off: a request from elsewhere is refused");
        }
        Err(NOT_LOCAL.with(NOT_LOCAL.when))
    }
}

/// For a log.
fn shown(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name)?.as_bytes());
    Some(text::escaped(&value).into_owned())
}

/// Whether a request is neither for another host nor of a page of another site. A link from such a page is allowed: the
/// page does not see the response.
#[must_use]
pub fn is_from_this_machine(request: &HttpRequest) -> bool {
    let headers = request.headers();
    // A target in absolute form names the host too, and has priority (RFC 9112, 3.2.2).
    let is_for_this_machine = request.uri().host().is_none_or(is_local_host)
        && headers.get_all(HOST).all(|host| is_local::<Authority>(host, Authority::host));
    // Old browsers send no `Sec-Fetch-Site`, but all send this for what is not GET or HEAD.
    let is_of_local_page =
        headers.get_all(ORIGIN).all(|origin| is_local::<Uri>(origin, |origin| origin.host().unwrap_or("")));
    let is_link =
        [Method::GET, Method::HEAD].contains(request.method()) && is(headers, &SEC_FETCH_MODE, "navigate");
    let is_cross_site = is(headers, &SEC_FETCH_SITE, "cross-site") && !is_link;
    is_for_this_machine && is_of_local_page && !is_cross_site
}

fn is(headers: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    headers.get_all(name).any(|found| found == value)
}

fn is_local<T: std::str::FromStr>(value: &HeaderValue, host: fn(&T) -> &str) -> bool {
    let Some(parsed) = value.to_str().ok().and_then(|text| text.parse::<T>().ok()) else { return false };
    is_local_host(host(&parsed))
}

/// Whether it is a loopback address or `localhost`, or below it: no browser asks DNS for those.
fn is_local_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = address.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use serde_json::Value;

    use super::*;
    use crate::auth::metrics::{Metrics, Reason};
    use crate::auth::tests::{Log, metric};
    use crate::metrics::Registry;

    fn allows(method: Method, headers: &[(&str, &str)]) -> bool {
        let request = headers
            .iter()
            .fold(TestRequest::default().method(method), |request, header| request.append_header(*header));
        is_from_this_machine(request.to_srv_request().request())
    }

    #[test]
    fn the_host_of_the_target_counts_too() {
        for (target, allowed) in [
            ("http://localhost:8081/orders", true),
            ("http://[::1]:8081/orders", true),
            ("/orders", true),
            ("http://evil.example/orders", false),
            ("http://localhost.evil.example/orders", false),
        ] {
            let request = TestRequest::get().uri(target).insert_header((HOST, "localhost"));
            assert_eq!(is_from_this_machine(request.to_srv_request().request()), allowed, "{target}");
        }
    }

    #[test]
    fn refused_requests_are_counted_and_logged_once_a_second() {
        let (log, _guard) = Log::of_this_thread();
        let registry = Registry::new(&[]).unwrap();
        let request = |host| TestRequest::get().insert_header((HOST, host)).to_srv_request();
        let local = || Local::new(Metrics::register(&registry).counter(Reason::NotLocal));
        local().check(&request("first.example")).unwrap_err();
        log.enable_lines();
        let local = local();
        local.check(&request("localhost")).unwrap();
        for _ in 0..100 {
            local.check(&request("evil.example")).unwrap_err();
        }
        let refused: u64 = metric(&registry, r#"orders_auth_refused_total{reason="not_local"}"#);
        assert_eq!(refused, 101);
        let log = log.text();
        assert!((1..=2).contains(&log.lines().count()), "{log}");
        let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert_eq!((&first["level"], &first["fields"]["times"]), (&"WARN".into(), &1.into()), "{log}");
        assert_eq!(first["fields"]["host"], "evil.example");
    }

    #[test]
    fn the_host_is_this_machine() {
        for host in [
            "localhost",
            "localhost:8081",
            "LocalHost.:8081",
            "write.localhost",
            "127.0.0.1",
            "127.0.0.1:8081",
            "127.8.8.8:1",
            "[::1]",
            "[::1]:8081",
            "[::ffff:127.0.0.1]:8081",
        ] {
            assert!(allows(Method::POST, &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8081",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "0.0.0.0:8081",
            "[::]:8081",
            "192.168.0.1:8081",
            "10.0.0.1",
            "[fe80::1]",
            "",
            ":8081",
            "a b",
            "localhost@evil.example",
            "127.0.0.1, evil.example",
        ] {
            for method in [Method::GET, Method::POST] {
                assert!(!allows(method, &[("host", host)]), "{host}");
            }
        }
        assert!(!allows(Method::GET, &[("host", "localhost"), ("host", "evil.example")]));
        assert!(allows(Method::POST, &[]), "HTTP/1.0");
    }

    #[test]
    fn pages_of_another_site_are_refused_and_links_are_not() {
        let with =
            |method, headers: &[(&str, &str)]| allows(method, &[&[("host", "localhost")], headers].concat());
        for site in ["none", "same-origin", "same-site"] {
            for method in [Method::GET, Method::POST] {
                assert!(with(method, &[("sec-fetch-site", site), ("sec-fetch-mode", "cors")]), "{site}");
            }
        }
        for (method, mode, allowed) in [
            (Method::GET, "navigate", true),
            (Method::HEAD, "navigate", true),
            (Method::POST, "navigate", false),
            (Method::GET, "no-cors", false),
            (Method::GET, "cors", false),
            (Method::POST, "no-cors", false),
        ] {
            let headers = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode)];
            assert_eq!(with(method.clone(), &headers), allowed, "{method} {mode}");
        }
        assert!(!with(Method::GET, &[("sec-fetch-site", "cross-site")]));
        for (origin, allowed) in [
            ("http://localhost:3000", true),
            ("http://[::1]:8082", true),
            ("https://127.0.0.1", true),
            ("http://evil.example", false),
            ("http://localhost.evil.example:8081", false),
            ("null", false),
            ("file://", false),
            ("", false),
        ] {
            assert_eq!(with(Method::POST, &[("origin", origin)]), allowed, "{origin}");
        }
    }
}
