//! What a caller gets that is over its share.

use metrics::{Counter, counter, describe_counter};

use crate::metrics::Registry;
use crate::problem::{Problem, TOO_MANY_REQUESTS};

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Requests of one customer's subject.
    Subject,
    /// Requests of one service.
    Service,
    /// Requests without a valid token from one address.
    Address,
    /// Tokens from one address whose signature is wrong.
    Signatures,
    /// Tokens from one address that wait for their key.
    Keys,
    /// Streams of one subject.
    Streams,
    /// Waits of one subject.
    Waits,
    /// Large bodies of one subject.
    Bodies,
    /// Bodies of one subject that have not arrived yet.
    Arrivals,
}

/// A caller is over its share. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.detail())]
pub struct OverShare(pub(super) Share);

impl Share {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Subject, "subject"),
        (Self::Service, "service"),
        (Self::Address, "address"),
        (Self::Signatures, "signatures"),
        (Self::Keys, "keys"),
        (Self::Streams, "streams"),
        (Self::Waits, "waits"),
        (Self::Bodies, "bodies"),
        (Self::Arrivals, "arrivals"),
    ];

    pub(super) fn label(self) -> &'static str {
        Self::ALL.iter().find(|(share, _)| *share == self).map_or("", |(_, label)| label)
    }

    const fn detail(self) -> &'static str {
        match self {
            Self::Subject | Self::Service => "The subject of the token sends too many requests.",
            Self::Address => "Too many requests without a valid token come from this address.",
            Self::Signatures => {
                "Too many tokens that are not valid come from this address, so this one was not checked."
            }
            Self::Keys => "Too many tokens from this address wait for their key.",
            Self::Streams => "The subject of the token has too many streams open.",
            Self::Waits => "Too many requests of the token's subject are waiting.",
            Self::Bodies => "The subject of the token sends too many large bodies at once.",
            Self::Arrivals => "Too many bodies from the subject of the token have not arrived yet.",
        }
    }
}

impl From<OverShare> for Problem {
    fn from(error: OverShare) -> Self {
        TOO_MANY_REQUESTS.with(error.to_string())
    }
}

/// How often callers were over their share.
pub(super) struct Refused([(Share, Counter); 9]);

impl Refused {
    pub(super) fn register(registry: &Registry) -> Self {
        let counter = |label| counter!("orders_rate_limited_total", "reason" => label);
        registry.register(|| {
            describe_counter!(
                "orders_rate_limited_total",
                "Requests refused with 429, by the share that was used up."
            );
        });
        Self(registry.register(|| Share::ALL.map(|(share, label)| (share, counter(label)))))
    }

    pub(super) fn count(&self, refused: Share) {
        for (_, counter) in self.0.iter().filter(|(share, _)| *share == refused) {
            counter.increment(1);
        }
    }
}
