//! Runs before each handler.

use std::net::IpAddr;

use actix_http::Request;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpMessage, HttpRequest};

use super::refusal::Refusal;
use super::{Access, Authenticator, Grant, access};
use crate::http::access_log;
use crate::problem::Problem;

/// A caller who was checked before, and gets this.
struct RefusedCaller(Problem);

/// Checks the caller and its share, and leaves its [`Grant`] for the handler. No byte of the body is read before.
pub(crate) async fn check(request: &ServiceRequest, access: Access) -> Result<(), Problem> {
    let authenticator = request.app_data::<Authenticator>();
    let Access::Needs(rights) = access else { return check_open(authenticator, request.request()) };
    if let Some(RefusedCaller(problem)) = request.extensions_mut().remove() {
        return Err(problem);
    }
    let Some(authenticator) = authenticator else {
        tracing::error!("a resource that is not open has no authenticator");
        return Err(Problem::internal());
    };
    let grant = match authenticator {
        Authenticator::Off(local) => {
            local.check(request)?;
            Grant::unlimited()
        }
        Authenticator::Jwt(jwt) => {
            let verified = jwt.authenticate(request.headers(), peer(request.request())).await;
            let verified = verified.map_err(Refusal::problem)?;
            access_log::set_subject(request.request(), &verified.caller.subject);
            verified.shares.admit(verified.subject)?;
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

/// Checks the share of a request that needs no token. Without an authenticator there are none, nor at probes: to refuse
/// them would end a healthy process.
pub(crate) fn check_open(
    authenticator: Option<&Authenticator>,
    request: &HttpRequest,
) -> Result<(), Problem> {
    admit_open(authenticator, request.headers(), peer(request))
}

/// The same, by what the head has.
pub(crate) fn admit_open(
    authenticator: Option<&Authenticator>,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<(), Problem> {
    match authenticator {
        None | Some(Authenticator::Off(_)) => Ok(()),
        Some(Authenticator::Jwt(jwt)) => Ok(jwt.admit_anonymous(headers, peer)?),
    }
}

/// Whether a client that expects `100 Continue` gets it: with a valid token whose subject is within its share. Counts
/// a request only if it is refused.
pub(crate) async fn check_expectation(
    authenticator: Option<&Authenticator>,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<(), Problem> {
    let Some(Authenticator::Jwt(jwt)) = authenticator else { return Ok(()) };
    let verified = jwt.authenticate(headers, peer).await.map_err(Refusal::problem)?;
    Ok(verified.shares.may_admit(verified.subject)?)
}

/// A resource that needs a token will refuse the request with this problem: its caller was checked already.
pub(crate) fn refuse(request: &Request, problem: Problem) {
    request.extensions_mut().insert(RefusedCaller(problem));
}

fn peer(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip())
}
