//! The metrics of authentication.

use std::collections::BTreeMap;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

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
        registry.register(|| {
            describe_counter!(
                "orders_auth_refused_total",
                "Requests refused with 401, 403, 429 or 503, by reason."
            );
            describe_counter!(
                "orders_auth_verifications_total",
                "Tokens verified: they were not in the cache."
            );
            Self {
                refused: Reason::ALL
                    .map(|(reason, label)| (reason, counter!("orders_auth_refused_total", "reason" => label)))
                    .into(),
                verifications: counter!("orders_auth_verifications_total"),
            }
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

/// The age of the keys, and how often they could not be fetched.
pub(super) fn of_keys(registry: &Registry) -> (Gauge, Counter) {
    registry.register(|| {
        describe_gauge!("orders_auth_keys_age_seconds", Unit::Seconds, "Age of the keys that verify tokens.");
        describe_counter!("orders_auth_key_fetch_failures_total", "Attempts to fetch the keys that failed.");
        (gauge!("orders_auth_keys_age_seconds"), counter!("orders_auth_key_fetch_failures_total"))
    })
}

/// Says whether callers need a token.
pub(super) fn register_enabled(registry: &Registry, is_enabled: bool) {
    let enabled = registry.register(|| {
        describe_gauge!(
            "orders_auth_enabled",
            "Whether callers need a token: 1 with AUTH=jwt, 0 with AUTH=off."
        );
        gauge!("orders_auth_enabled")
    });
    enabled.set(if is_enabled { 1.0 } else { 0.0 });
}
