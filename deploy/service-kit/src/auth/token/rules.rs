//! What tokens must satisfy.

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;

use crate::auth::AuthConfig;

/// What tokens must satisfy, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(super) issuer: Box<str>,
    pub(super) audience: Box<str>,
    pub(super) algorithms: Box<[Algorithm]>,
    pub(super) leeway: TimeDelta,
    pub(super) customer_claim: Box<str>,
    pub(super) scope_claim: Box<str>,
}

impl Rules {
    /// The rules of this configuration; `None` with `AUTH=off`.
    pub(crate) fn from_config(config: &AuthConfig) -> Option<Self> {
        let trusted = config.trusted.as_ref()?;
        Some(Self {
            issuer: trusted.issuer.clone(),
            audience: trusted.audience.clone(),
            algorithms: config.algorithms.clone(),
            leeway: config.leeway,
            customer_claim: config.customer_claim.clone(),
            scope_claim: config.scope_claim.clone(),
        })
    }

    /// The algorithms that tokens may use.
    pub(crate) fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }
}
