//! The token in the `Authorization` header (RFC 6750, 2.1).

use actix_web::http::header::{AUTHORIZATION, HeaderMap};

use super::token::MAX_BYTES;

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BearerError {
    #[error("there is no `Authorization` header with a bearer token")]
    Missing,
    #[error("there is more than one `Authorization` header")]
    Twice,
    #[error("what follows `Bearer` is not one token")]
    Malformed,
    #[error("it has more than 8 KiB")]
    TooLong,
}

/// The token of the one `Authorization` header.
pub(super) fn token(headers: &HeaderMap) -> Result<&str, BearerError> {
    let mut values = headers.get_all(AUTHORIZATION);
    let value = values.next().ok_or(BearerError::Missing)?;
    if values.next().is_some() {
        return Err(BearerError::Twice);
    }
    let mut words = value.as_bytes().splitn(2, |byte| *byte == b' ');
    let (scheme, mut token) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    while let [b' ', rest @ ..] = token {
        token = rest;
    }
    if !scheme.eq_ignore_ascii_case(b"Bearer") || token.is_empty() {
        return Err(BearerError::Missing);
    }
    if token.len() > MAX_BYTES {
        return Err(BearerError::TooLong);
    }
    let token = std::str::from_utf8(token).map_err(|_| BearerError::Malformed)?;
    if is_b64token(token) { Ok(token) } else { Err(BearerError::Malformed) }
}

fn is_b64token(token: &str) -> bool {
    let text = token.trim_end_matches('=');
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    // To the end, so that the processor checks many bytes at once.
    !text.is_empty() && text.bytes().fold(true, |all, byte| all & is_allowed(byte))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn of(values: &[&[u8]]) -> Result<String, BearerError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        token(&headers).map(ToOwned::to_owned)
    }

    #[test]
    fn one_bearer_token_of_its_alphabet_is_taken_and_nothing_else() {
        let longest = format!("Bearer {}", "x".repeat(MAX_BYTES));
        let too_long = format!("{longest}x");
        let cases: [(&[&[u8]], _); 18] = [
            (&[b"Bearer a.b-c_d~e+f/g=="], Ok("a.b-c_d~e+f/g==")),
            (&[b"bEARER  a.b.c"], Ok("a.b.c")),
            (&[longest.as_bytes()], Ok(&longest[7..])),
            (&[too_long.as_bytes()], Err(BearerError::TooLong)),
            (&[], Err(BearerError::Missing)),
            (&[b""], Err(BearerError::Missing)),
            (&[b"Bearer"], Err(BearerError::Missing)),
            (&[b"Bearer "], Err(BearerError::Missing)),
            (&[b"Basic dXNlcjpwYXNz"], Err(BearerError::Missing)),
            (&[b"Bearera.b.c"], Err(BearerError::Missing)),
            (&[b"a.b.c"], Err(BearerError::Missing)),
            (&[b"Bearer a.b.c d.e.f"], Err(BearerError::Malformed)),
            (&[b"Bearer a.b.c, Bearer d.e.f"], Err(BearerError::Malformed)),
            (&[b"Bearer \"a.b.c\""], Err(BearerError::Malformed)),
            (&[b"Bearer a=b"], Err(BearerError::Malformed)),
            (&[b"Bearer ="], Err(BearerError::Malformed)),
            (&[b"Bearer \xff\xfe"], Err(BearerError::Malformed)),
            (&[b"Bearer a.b.c", b"Bearer a.b.c"], Err(BearerError::Twice)),
        ];
        for (values, expected) in cases {
            assert_eq!(of(values), expected.map(ToOwned::to_owned), "{values:?}");
        }
    }
}
