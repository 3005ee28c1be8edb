//! What a caller may do with a resource.

use std::future::{Ready, ready};
use std::sync::Arc;

use super::verified::Verified;
use super::{Caller, Right};
use crate::http::in_flight;
use crate::problem::Problem;
use crate::shares::{Held, LargeBody, OverShare};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

/// What this caller may do with this resource. Handlers take it as a parameter.
#[derive(Clone)]
pub struct Grant {
    /// `None` with `AUTH=off`.
    token: Option<(Arc<Verified>, &'static str)>,
}

impl Grant {
    /// Everything, for a process with `AUTH=off`.
    pub(super) const fn unlimited() -> Self {
        Self { token: None }
    }

    pub(super) const fn of(verified: Arc<Verified>, scope: &'static str) -> Self {
        Self { token: Some((verified, scope)) }
    }

    /// The one customer whose orders the caller may use; `None` for those of all customers.
    #[must_use]
    pub fn customer(&self) -> Option<&str> {
        self.caller()?.customer()
    }

    /// Whether the caller may use the orders of `customer`.
    #[must_use]
    pub fn covers(&self, customer: &str) -> bool {
        self.customer().is_none_or(|own| own == customer)
    }

    /// Refuses a caller who may not use the orders of `customer`. The 403 names `rights`, which would allow it. It is
    /// counted and logged.
    ///
    /// # Errors
    ///
    /// The 403.
    pub fn require(&self, customer: &str, rights: &[Right]) -> Result<(), Problem> {
        match &self.token {
            Some((verified, _)) if !self.covers(customer) => {
                Err(verified.forbidden.refuse(&verified.caller, rights))
            }
            _ => Ok(()),
        }
    }

    /// Who calls; `None` with `AUTH=off`.
    #[must_use]
    pub fn subject(&self) -> Option<&Arc<str>> {
        self.caller().map(|caller| &caller.subject)
    }

    /// The scope by which the caller is allowed; `None` with `AUTH=off`.
    #[must_use]
    pub fn scope(&self) -> Option<&'static str> {
        self.token.as_ref().map(|(_, scope)| *scope)
    }

    /// A stream of the caller's share, until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// [`OverShare`] when the caller has too many.
    pub fn stream(&self) -> Result<Held, OverShare> {
        self.token
            .as_ref()
            .map_or(Ok(Held::uncounted()), |(verified, _)| verified.shares.stream(verified.subject))
    }

    /// The request begins to wait: a wait of the caller's share, until what is returned is dropped. It no longer counts
    /// as in flight.
    ///
    /// # Errors
    ///
    /// [`OverShare`] when the caller has too many.
    pub fn wait(&self, request: &HttpRequest) -> Result<Held, OverShare> {
        in_flight::begin_wait(request);
        self.token
            .as_ref()
            .map_or(Ok(Held::uncounted()), |(verified, _)| verified.shares.wait(verified.subject))
    }

    /// The body of this request has not arrived yet. It counts for the share of the caller until what is returned is
    /// dropped.
    ///
    /// # Errors
    ///
    /// [`OverShare`] when too many bodies of the caller have not arrived.
    pub fn arrival(request: &HttpRequest) -> Result<Held, OverShare> {
        match request.extensions().get::<Self>().and_then(|grant| grant.token.as_ref()) {
            Some((verified, _)) => verified.shares.arrival(verified.subject),
            None => Ok(Held::uncounted()),
        }
    }

    /// A large body of this request arrives, and takes `bytes` of the `max_bytes` that all large bodies of its caller
    /// may take. It counts for the share of the caller until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// [`OverShare`] when the caller already sends too many.
    pub fn large_body(request: &HttpRequest, bytes: usize, max_bytes: usize) -> Result<LargeBody, OverShare> {
        match request.extensions().get::<Self>().and_then(|grant| grant.token.as_ref()) {
            Some((verified, _)) => verified.shares.large_body(verified.subject, bytes, max_bytes),
            None => Ok(LargeBody::uncounted()),
        }
    }

    /// Completes when the token is no longer valid: it has expired, or its key was withdrawn. A long response must end
    /// then. Never completes with `AUTH=off`.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let token = self.token.clone();
        async move {
            match token {
                Some((verified, _)) => verified.ended().await,
                None => std::future::pending().await,
            }
        }
    }

    fn caller(&self) -> Option<&Caller> {
        self.token.as_ref().map(|(verified, _)| &verified.caller)
    }
}

impl FromRequest for Grant {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    /// Fails if the resource is open: then nobody has checked the caller.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a handler needs a grant, and its resource is open");
            Problem::internal()
        }))
    }
}
