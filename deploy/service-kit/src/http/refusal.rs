//! Requests that are refused before they reach a handler.

use std::sync::LazyLock;

use actix_http::{HttpMessage, Request};
use actix_web::http::header::UPGRADE;

use super::request_path::SECURITY_HEADERS;
use crate::problem::{FieldError, HEAD_TOO_LARGE, HEAD_TOO_SLOW, Problem, ProblemType};

/// The problem with this request, if it must not reach a handler.
pub(super) fn refusal(request: &Request) -> Option<Problem> {
    // Its body would end with the connection, whatever its length: the handler and the client could wait for each
    // other.
    let is_endless = requests_websocket(request) && !request.chunked().unwrap_or(false);
    let error = || FieldError::header("Upgrade", "must not be websocket, which is not supported");
    is_endless.then(|| Problem::invalid_parameter(error()))
}

/// Whether the server treats everything after the head as body, unless the body is chunked.
pub(super) fn requests_websocket(request: &Request) -> bool {
    let mut values = request.headers().get_all(UPGRADE).filter_map(|value| value.to_str().ok());
    values.any(|value| value.trim().eq_ignore_ascii_case("websocket"))
}

/// The response to a head that takes too long. The server cannot send it: it has not seen a request.
pub(super) static TOO_SLOW: LazyLock<Vec<u8>> =
    LazyLock::new(|| bare_response("408 Request Timeout", HEAD_TOO_SLOW));

/// The response to a head that is too large.
pub(super) static TOO_LARGE: LazyLock<Vec<u8>> =
    LazyLock::new(|| bare_response("431 Request Header Fields Too Large", HEAD_TOO_LARGE));

fn bare_response(status: &str, problem: ProblemType) -> Vec<u8> {
    let body = serde_json::to_string(&problem.with(problem.when)).unwrap_or_default();
    let mut head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncache-control: no-store\r\n");
    for (name, value) in SECURITY_HEADERS {
        head.extend([name.as_str(), ": ", value, "\r\n"]);
    }
    let length = body.len();
    format!("{head}content-type: application/problem+json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They do not pass the code that adds headers to other responses.
    #[test]
    fn a_bare_response_is_not_stored_and_its_type_is_not_guessed() {
        for response in [&*TOO_SLOW, &*TOO_LARGE] {
            let response = String::from_utf8(response.clone()).unwrap();
            for header in
                ["cache-control: no-store", "x-content-type-options: nosniff", "referrer-policy: no-referrer"]
            {
                let header = format!("\r\n{header}\r\n");
                assert!(response.contains(&header), "{header:?} is not in {response}");
            }
        }
    }
}
