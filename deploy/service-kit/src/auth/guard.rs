//! Runs before each handler.

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;

use super::{Access, Authenticator, Caller, Grant, Refused, Right, access};
use crate::problem::{INSUFFICIENT_SCOPE, INVALID_PARAMETER, Problem, UNAUTHENTICATED};

/// Checks the caller, and leaves its [`Grant`] for the handler.
pub(crate) fn check(request: &ServiceRequest, access: Access) -> Result<(), Problem> {
    let Access::Needs(rights) = access else { return Ok(()) };
    let Some(authenticator) = request.app_data::<Authenticator>() else {
        tracing::error!("a resource that is not open has no authenticator");
        return Err(Problem::internal());
    };
    let grant = match authenticator.authenticate(request.headers()).map_err(problem)? {
        None => Grant::unlimited(),
        Some(caller) => granted(&caller, rights).inspect_err(|_| {
            // For the audit line.
            request.extensions_mut().insert(caller.clone());
        })?,
    };
    request.extensions_mut().insert(grant);
    Ok(())
}

fn granted(caller: &Caller, rights: &'static [Right]) -> Result<Grant, Problem> {
    access::grant(caller, rights).ok_or_else(|| insufficient_scope(rights))
}

/// 403 for a caller who has none of these rights.
#[must_use]
pub fn insufficient_scope(rights: &[Right]) -> Problem {
    let scopes: Vec<_> = rights.iter().map(|right| right.scope()).collect();
    INSUFFICIENT_SCOPE
        .with(INSUFFICIENT_SCOPE.when)
        .with_challenge(format!(r#"Bearer error="insufficient_scope", scope="{}""#, scopes.join(" ")))
}

fn problem(refused: Refused) -> Problem {
    match refused {
        Refused::TwoHeaders => INVALID_PARAMETER.with("There must be one `Authorization` header."),
        Refused::Unauthenticated => UNAUTHENTICATED.with(UNAUTHENTICATED.when).with_challenge("Bearer"),
        Refused::NoKeys => Problem::unavailable("The keys that verify tokens are not known yet."),
    }
}
