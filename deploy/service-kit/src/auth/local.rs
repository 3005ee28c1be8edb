//! With `AUTH=off`, who may call: programs on this machine, and pages that it serves itself. A page of another site in
//! a browser on this machine reaches loopback addresses too: it can send simple requests there, or have its own name
//! resolve to one (DNS rebinding).

use std::net::IpAddr;

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use actix_web::http::uri::{Authority, Uri};

use crate::problem::{NOT_LOCAL, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Refuses requests for another host, and those of pages of another site. A link from such a page is allowed: the page
/// does not see the response.
pub(super) fn check(request: &ServiceRequest) -> Result<(), Problem> {
    let headers = request.headers();
    let is_for_this_machine = headers.get_all(HOST).all(|host| is_local::<Authority>(host, Authority::host));
    // Old browsers send no `Sec-Fetch-Site`, but all send this for what is not GET or HEAD.
    let is_from_this_machine =
        headers.get_all(ORIGIN).all(|origin| is_local::<Uri>(origin, |origin| origin.host().unwrap_or("")));
    let is_link =
        [Method::GET, Method::HEAD].contains(request.method()) && is(headers, &SEC_FETCH_MODE, "navigate");
    let is_cross_site = is(headers, &SEC_FETCH_SITE, "cross-site") && !is_link;
    if is_for_this_machine && is_from_this_machine && !is_cross_site {
        return Ok(());
    }
    Err(NOT_LOCAL.with(NOT_LOCAL.when))
}

fn is(headers: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    headers.get_all(name).any(|found| found == value)
}

/// Whether the host of `value` is a loopback address or `localhost`, or below it: no browser asks DNS for those.
fn is_local<T: std::str::FromStr>(value: &HeaderValue, host: fn(&T) -> &str) -> bool {
    let Some(parsed) = value.to_str().ok().and_then(|text| text.parse::<T>().ok()) else { return false };
    let host = host(&parsed);
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

    use super::*;

    fn is_allowed(method: Method, headers: &[(&str, &str)]) -> bool {
        let request = headers
            .iter()
            .fold(TestRequest::default().method(method), |request, header| request.append_header(*header));
        check(&request.to_srv_request()).is_ok()
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
            assert!(is_allowed(Method::POST, &[("host", host)]), "{host}");
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
                assert!(!is_allowed(method, &[("host", host)]), "{host}");
            }
        }
        assert!(!is_allowed(Method::GET, &[("host", "localhost"), ("host", "evil.example")]));
        assert!(is_allowed(Method::POST, &[]), "HTTP/1.0");
    }

    #[test]
    fn pages_of_another_site_are_refused_and_links_are_not() {
        let with = |method, headers: &[(&str, &str)]| {
            is_allowed(method, &[&[("host", "localhost")], headers].concat())
        };
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
