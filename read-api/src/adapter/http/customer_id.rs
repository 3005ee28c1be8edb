//! The customer id in a path.

use actix_web::HttpRequest;
use percent_encoding::percent_decode_str;
use service_kit::auth::Grant;
use service_kit::problem::Problem;

use super::{READ_ANY, problems};

/// The maximum length of a customer id, in characters; the same as on the write side.
pub(super) const MAX_CHARS: usize = 128;

/// Checks the customer id in the path: first whether the caller may read this customer's orders. Then the response to
/// one who may not is the same for every other id.
pub(super) fn from_path(
    request: &HttpRequest,
    grant: &Grant,
    customer_id: String,
) -> Result<String, Problem> {
    grant.require(&customer_id, &[READ_ANY])?;
    let invalid = |detail: &str| Err(problems::invalid_parameter("customer_id", detail));
    // actix replaces bytes that are not UTF-8, so different ids could become the same.
    if percent_decode_str(request.path()).decode_utf8().is_err() {
        return invalid("must be UTF-8");
    }
    if customer_id.chars().nth(MAX_CHARS).is_some() {
        return invalid(&format!("must have at most {MAX_CHARS} characters"));
    }
    if customer_id.chars().any(char::is_control) {
        return invalid("must not contain control characters");
    }
    Ok(customer_id)
}
