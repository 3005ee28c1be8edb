//! The header `Idempotency-Key`.

use actix_web::HttpRequest;
use service_kit::problem::{FieldError, Problem};

const NAME: &str = "Idempotency-Key";
const MAX_BYTES: usize = 255;

/// The request's key, if it has one. It may be bare or quoted (a structured-field string, as in the IETF draft); both
/// forms are the same key.
///
/// # Errors
///
/// A problem that names the header if it is repeated, empty, too long or not visible ASCII.
pub(super) fn from_request(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut values = request.headers().get_all(NAME);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("must be sent once"));
    }
    // `to_str` accepts tabs; structured fields do not.
    let text = value.to_str().ok().filter(|text| !text.trim().contains('\t'));
    let text = text.ok_or_else(|| invalid("must be visible ASCII"))?;
    let key = unquote(text.trim())
        .ok_or_else(|| invalid("has an unclosed quote, or text after the closing quote"))?;
    if key.is_empty() || key.len() > MAX_BYTES {
        return Err(invalid(&format!("must have 1 to {MAX_BYTES} characters")));
    }
    Ok(Some(key))
}

/// RFC 8941, 3.3.3: inside quotes, a backslash may escape only a quote or a backslash.
fn unquote(text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix('"') else { return Some(text.to_owned()) };
    let mut key = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(key),
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            other => key.push(other),
        }
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::invalid_parameter(FieldError::header(NAME, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_be_bare_or_quoted() {
        assert_eq!(unquote("abc-1").as_deref(), Some("abc-1"));
        assert_eq!(unquote(r#""abc-1""#).as_deref(), Some("abc-1"));
        assert_eq!(unquote(r#""a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
    }

    #[test]
    fn a_malformed_quoted_key_is_refused() {
        for text in [r#"""#, r#""abc"#, r#""abc"; a=1"#, r#""a\b""#, r#""abc\""#] {
            assert_eq!(unquote(text), None, "{text}");
        }
    }
}
