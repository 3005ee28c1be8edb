//! `X-Request-Id`: names one request in the logs of all services that it passes.

use actix_http::Request;
use actix_web::HttpMessage;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The name of the header.
pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that a client may choose.
const MAX_BYTES: usize = 128;

/// Makes sure that the request has one valid id, and returns it for the response. The client's id stays if it has 1 to
/// 128 visible ASCII characters and there is only one.
pub(crate) fn assign(request: &mut Request) -> HeaderValue {
    let mut given = request.headers().get_all(&X_REQUEST_ID);
    if let (Some(id), None) = (given.next(), given.next())
        && is_valid(id.as_bytes())
        // A copy: the value is a slice of the read buffer, and the server keeps finished responses for reuse.
        && let Ok(id) = HeaderValue::from_bytes(id.as_bytes())
    {
        return id;
    }
    let id = new_id();
    request.headers_mut().insert(X_REQUEST_ID.clone(), id.clone());
    id
}

/// The id of a request, which its response has too.
#[must_use]
pub fn of(headers: &HeaderMap) -> Option<&str> {
    headers.get(&X_REQUEST_ID)?.to_str().ok()
}

fn is_valid(id: &[u8]) -> bool {
    (1..=MAX_BYTES).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A random id. One allocation, shared by request and response.
fn new_id() -> HeaderValue {
    let mut text = [0; Hyphenated::LENGTH];
    Uuid::new_v4().as_hyphenated().encode_lower(&mut text);
    // Never the other one: hexadecimal digits and hyphens are a valid value.
    HeaderValue::from_maybe_shared(Bytes::from_owner(text)).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ids: &[&[u8]]) -> Request {
        let mut request = Request::new();
        for id in ids {
            let id = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(id)).unwrap();
            request.headers_mut().append(X_REQUEST_ID.clone(), id);
        }
        request
    }

    #[test]
    fn one_id_of_visible_ascii_is_kept() {
        for id in ["x", "a-1/2:{}\"\\", &"~".repeat(128)] {
            let mut request = request(&[id.as_bytes()]);
            assert_eq!(assign(&mut request), id);
            assert_eq!(of(request.headers()), Some(id));
        }
    }

    #[test]
    fn another_id_is_replaced_by_a_uuid_for_the_handler_too() {
        let long = [b'x'; 129];
        let refused: [&[&[u8]]; 8] =
            [&[], &[b""], &[b"a b"], &[b"a\tb"], &["é".as_bytes()], &[b"\x80"], &[&long], &[b"a", b"a"]];
        for ids in refused {
            let mut request = request(ids);
            let id = assign(&mut request);
            assert!(Uuid::try_parse(id.to_str().unwrap()).is_ok(), "{ids:?}: {id:?}");
            assert!(request.headers().get_all(&X_REQUEST_ID).eq([&id]), "{ids:?}");
        }
    }

    #[test]
    fn an_id_of_the_client_does_not_keep_the_buffer_that_it_was_read_into() {
        let buffer = Bytes::from(b"an-id".to_vec());
        let mut request = Request::new();
        let id = HeaderValue::from_maybe_shared(buffer.slice(..)).unwrap();
        request.headers_mut().insert(X_REQUEST_ID.clone(), id);
        let for_response = assign(&mut request);
        // A finished request is kept for reuse.
        request.headers_mut().clear();
        assert!(buffer.is_unique());
        assert_eq!(for_response, "an-id");
    }
}
