//! Why a request is refused: the caller gets a problem, the log and the metrics get the reason.

use std::collections::BTreeMap;

use super::bearer::BearerError;
use super::keys::KeyUnavailable;
use super::metrics::Reason;
use super::token::{self, TokenError};
use crate::overload::OncePerSecond;
use crate::problem::{FieldError, Problem, UNAUTHENTICATED};
use crate::shares::OverShare;

/// The limiters of the log line, one for each reason: what anybody can cause must not hide what an operator must see.
pub(super) struct Lines(BTreeMap<Reason, OncePerSecond>);

impl Lines {
    pub(super) fn new() -> Self {
        Self(Reason::ALL.map(|(reason, _)| (reason, OncePerSecond::new())).into())
    }
}

/// Why a request is refused before its handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there are no keys that verify tokens")]
    NoKeys,
    #[error(transparent)]
    Key(#[from] KeyUnavailable),
    #[error(transparent)]
    Bearer(#[from] BearerError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    OverShare(#[from] OverShare),
}

impl Refusal {
    /// All 401 have the same body.
    pub(super) fn problem(self) -> Problem {
        let challenge = match self {
            Self::OverShare(error) => return error.into(),
            Self::NoKeys => return Problem::unavailable("The keys that verify tokens are not known."),
            Self::Key(_) => return Problem::unavailable("The key of the token cannot be fetched now."),
            Self::Bearer(BearerError::Twice) => {
                return Problem::invalid_parameter(FieldError::header("Authorization", "must be given once"));
            }
            Self::Bearer(BearerError::Missing) => "Bearer",
            Self::Bearer(_) | Self::Token(_) => r#"Bearer error="invalid_token""#,
        };
        UNAUTHENTICATED.with(UNAUTHENTICATED.when).with_challenge(challenge)
    }

    pub(super) fn reason(self) -> Reason {
        match self {
            Self::NoKeys => Reason::NoKeys,
            Self::Key(_) => Reason::KeyUnavailable,
            Self::Bearer(BearerError::Missing) => Reason::NoToken,
            Self::Bearer(BearerError::Twice) => Reason::TwoHeaders,
            Self::Bearer(BearerError::Malformed | BearerError::TooLong) => Reason::Malformed,
            Self::Token(error) => reason(error),
            Self::OverShare(_) => Reason::TooManyRequests,
        }
    }

    /// Logs it without the token, if a line with its reason is due.
    pub(super) fn log(self, lines: &Lines, token: Option<&str>) {
        if let Some(times) = lines.0.get(&self.reason()).and_then(OncePerSecond::count) {
            let kid = token.and_then(token::kid_for_log);
            tracing::info!(times, kid, reason = %self, "a caller is refused");
        }
    }
}

fn reason(error: TokenError) -> Reason {
    match error {
        TokenError::TooLong
        | TokenError::Parts
        | TokenError::Base64(_)
        | TokenError::Json(..)
        | TokenError::NoKid
        | TokenError::Kid => Reason::Malformed,
        TokenError::Type | TokenError::Critical => Reason::Type,
        TokenError::Algorithm | TokenError::AlgorithmOfKey => Reason::Algorithm,
        TokenError::UnknownKey => Reason::UnknownKey,
        TokenError::Signature => Reason::Signature,
        TokenError::Missing(_) | TokenError::Malformed(_) => Reason::Claims,
        TokenError::Issuer => Reason::Issuer,
        TokenError::Audience => Reason::Audience,
        TokenError::Expired => Reason::Expired,
        TokenError::NotYetValid => Reason::NotYetValid,
    }
}
