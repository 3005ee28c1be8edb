//! Runs before each handler.

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;

use super::refusal::Refusal;
use super::{Access, Authenticator, Grant, access};
use crate::problem::Problem;

/// Checks the caller, and leaves its [`Grant`] for the handler. No byte of the body is read before.
pub(crate) async fn check(request: &ServiceRequest, access: Access) -> Result<(), Problem> {
    let Access::Needs(rights) = access else { return Ok(()) };
    let Some(authenticator) = request.app_data::<Authenticator>() else {
        tracing::error!("a resource that is not open has no authenticator");
        return Err(Problem::internal());
    };
    let grant = match authenticator {
        Authenticator::Off(local) => {
            local.check(request)?;
            Grant::unlimited()
        }
        Authenticator::Jwt(jwt) => {
            let verified = jwt.authenticate(request.headers()).await.map_err(Refusal::problem)?;
            access::grant(&verified, rights).ok_or_else(|| {
                // For the audit line.
                request.extensions_mut().insert(verified.caller.clone());
                verified.forbidden.refuse(&verified.caller, rights)
            })?
        }
    };
    request.extensions_mut().insert(grant);
    Ok(())
}
