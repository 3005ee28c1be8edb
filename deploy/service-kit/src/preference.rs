//! `Prefer: wait=<seconds>` (RFC 7240).

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;

/// The request header.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The response header that names the preference that was applied.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The time that the client prefers to wait, in whole seconds; a longer one counts as `max_s`. Preferences that cannot
/// be parsed are ignored, and of several the first counts (RFC 7240, 2).
#[must_use]
pub fn wait(request: &HttpRequest, max_s: u64) -> Option<Duration> {
    let values = request.headers().get_all(PREFER).filter_map(|value| value.to_str().ok());
    let preferences = values.flat_map(|value| value.split(','));
    let seconds = preferences.filter_map(|preference| {
        // Parameters follow a semicolon; `wait` has none.
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("wait").then(|| value.parse::<u64>().ok())
    });
    let seconds = { seconds }.next()??;
    Some(Duration::from_secs(seconds.min(max_s)))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_wait_is_found_among_other_preferences_and_capped() {
        for (headers, expected) in [
            (&["wait=2"][..], Some(2)),
            (&["respond-async, wait=3"], Some(3)),
            (&["respond-async", "Wait = \"4\"; foo=bar, return=minimal"], Some(4)),
            (&["wait=5, wait=6"], Some(5)),
            (&["wait=0"], Some(0)),
            (&["wait=99999"], Some(10)),
            (&["wait"], None),
            (&["wait=soon"], None),
            (&["wait=-1"], None),
            (&["wait=1.5"], None),
            (&["await=1"], None),
            (&[], None),
        ] {
            let request = headers
                .iter()
                .fold(TestRequest::get(), |request, value| request.append_header(("prefer", *value)));
            let expected = expected.map(Duration::from_secs);
            assert_eq!(wait(&request.to_http_request(), 10), expected, "{headers:?}");
        }
    }
}
