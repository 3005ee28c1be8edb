//! Runs before each handler.

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;

use super::refusal::Refusal;
use super::{Access, Authenticator, Grant, Right, access};
use crate::problem::{INSUFFICIENT_SCOPE, Problem};

/// Checks the caller, and leaves its [`Grant`] for the handler. No byte of the body is read before.
pub(crate) async fn check(request: &ServiceRequest, access: Access) -> Result<(), Problem> {
    let Access::Needs(rights) = access else { return Ok(()) };
    let Some(authenticator) = request.app_data::<Authenticator>() else {
        tracing::error!("a resource that is not open has no authenticator");
        return Err(Problem::internal());
    };
    let verified = authenticator.authenticate(request.headers()).await;
    let grant = match verified.map_err(Refusal::problem)? {
        None => Grant::unlimited(),
        Some(verified) => access::grant(&verified, rights).ok_or_else(|| {
            authenticator.count_insufficient_scope();
            // For the audit line.
            request.extensions_mut().insert(verified.caller.clone());
            insufficient_scope(rights)
        })?,
    };
    request.extensions_mut().insert(grant);
    Ok(())
}

/// 403 for a caller who has none of these rights.
#[must_use]
pub fn insufficient_scope(rights: &[Right]) -> Problem {
    let scopes: Vec<_> = rights.iter().map(|right| right.scope()).collect();
    let challenge = format!(r#"Bearer error="insufficient_scope", scope="{}""#, scopes.join(" "));
    INSUFFICIENT_SCOPE.with(INSUFFICIENT_SCOPE.when).with_challenge(challenge)
}
