//! The metrics of authentication.

use std::collections::BTreeMap;

use metrics::{Counter, counter, gauge};

use crate::metrics::Registry;

/// Why a request was refused, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    NoKeys,
    KeyUnavailable,
    NoToken,
    TwoHeaders,
    Malformed,
    Type,
    Algorithm,
    UnknownKey,
    Signature,
    Claims,
    Issuer,
    Audience,
    Expired,
    NotYetValid,
    InsufficientScope,
    TooManyRequests,
    NotLocal,
}

impl Reason {
    pub(super) const ALL: [(Self, &'static str); 17] = [
        (Self::NoKeys, "no_keys"),
        (Self::KeyUnavailable, "key_unavailable"),
        (Self::NoToken, "no_token"),
        (Self::TwoHeaders, "two_headers"),
        (Self::Malformed, "malformed"),
        (Self::Type, "type"),
        (Self::Algorithm, "algorithm"),
        (Self::UnknownKey, "unknown_key"),
        (Self::Signature, "signature"),
        (Self::Claims, "claims"),
        (Self::Issuer, "issuer"),
        (Self::Audience, "audience"),
        (Self::Expired, "expired"),
        (Self::NotYetValid, "not_yet_valid"),
        (Self::InsufficientScope, "insufficient_scope"),
        (Self::TooManyRequests, "too_many_requests"),
        (Self::NotLocal, "not_local"),
    ];
}

/// The counters of the authenticator.
pub(super) struct Metrics {
    refused: BTreeMap<Reason, Counter>,
    /// Tokens that were not in the cache.
    pub(super) verifications: Counter,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> Self {
        registry.register(|| Self {
            refused: Reason::ALL
                .map(|(reason, label)| (reason, counter!("orders_auth_refused_total", "reason" => label)))
                .into(),
            verifications: counter!("orders_auth_verifications_total"),
        })
    }

    pub(super) fn refused(&self, reason: Reason) {
        self.counter(reason).increment(1);
    }

    pub(super) fn counter(&self, reason: Reason) -> Counter {
        // Every reason has one.
        self.refused.get(&reason).cloned().unwrap_or_else(Counter::noop)
    }
}

/// Says whether callers need a token.
pub(super) fn register_enabled(registry: &Registry, is_enabled: bool) {
    registry.register(|| gauge!("orders_auth_enabled")).set(if is_enabled { 1.0 } else { 0.0 });
}
