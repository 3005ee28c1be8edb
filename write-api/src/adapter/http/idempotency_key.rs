//! The header `Idempotency-Key`.

use actix_web::HttpRequest;
use service_kit::problem::{FieldError, Problem};

const NAME: &str = "Idempotency-Key";
const MAX_BYTES: usize = 255;

/// The key that a client gave, or `None` where it gave none. It may be bare or quoted (a structured-field string, as the
/// IETF's draft has it); both ways name the same key.
///
/// # Errors
///
/// A problem that names the header when it is given twice, empty, too long or not visible ASCII.
pub(super) fn of(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut values = request.headers().get_all(NAME);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("must be given once"));
    }
    // `to_str` lets a tab pass, which no structured field has.
    let text = value.to_str().ok().filter(|text| !text.trim().contains('\t'));
    let text = text.ok_or_else(|| invalid("must be visible ASCII"))?;
    let key = unquote(text.trim())
        .ok_or_else(|| invalid("has a quote that is not closed, or more than a string"))?;
    if key.is_empty() || key.len() > MAX_BYTES {
        return Err(invalid(&format!("must have 1 to {MAX_BYTES} characters")));
    }
    Ok(Some(key))
}

/// RFC 8941, 3.3.3: between quotes, a backslash escapes a quote or a backslash and nothing else.
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
    fn a_broken_quote_is_refused() {
        for text in [r#"""#, r#""abc"#, r#""abc"; a=1"#, r#""a\b""#, r#""abc\""#] {
            assert_eq!(unquote(text), None, "{text}");
        }
    }
}
