//! Why a token is refused.

use std::fmt::{self, Display, Formatter};

use crate::auth::strict_json::JsonError;

/// The check that failed. It is for logs: callers learn only that their token is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It has more than [`MAX_BYTES`](super::MAX_BYTES).
    #[error("it has more than 8 KiB")]
    TooLong,
    /// It has fewer or more than three parts.
    #[error("it does not have three parts")]
    Parts,
    /// A part is not base64url, without padding and with zero bits at its end.
    #[error("its {0} is not base64url")]
    Base64(Part),
    /// A part is no object, or has a member twice.
    #[error("its {0} {1}")]
    Json(Part, JsonError),
    /// The header has no `kid`.
    #[error("it has no `kid`")]
    NoKid,
    /// `kid` is not a text of 1 to 255 characters.
    #[error("its `kid` is not valid")]
    Kid,
    /// `alg` is missing or not configured.
    #[error("its `alg` is not allowed")]
    Algorithm,
    /// `typ` is present, and neither `JWT` nor `at+jwt`.
    #[error("its `typ` is not that of an access token")]
    Type,
    /// The header names extensions that must be understood. None are.
    #[error("it has `crit`")]
    Critical,
    /// The key set has no usable key with this `kid`.
    #[error("its `kid` is unknown")]
    UnknownKey,
    /// `alg` does not fit the key.
    #[error("its `alg` does not fit its key")]
    AlgorithmOfKey,
    /// The signature is not that of the key.
    #[error("its signature is not valid")]
    Signature,
    /// A required claim is missing.
    #[error("it has no {0}")]
    Missing(Claim),
    /// A claim is of another type or too long, or a time is before 1970 or after the year 9999.
    #[error("its {0} is not valid")]
    Malformed(Claim),
    /// `iss` is not `AUTH_ISSUER`.
    #[error("it is from another issuer")]
    Issuer,
    /// `aud` does not contain `AUTH_AUDIENCE`.
    #[error("it is for another audience")]
    Audience,
    /// `exp` has passed, and the leeway too.
    #[error("it has expired")]
    Expired,
    /// `nbf` is later than the leeway allows.
    #[error("it is not valid yet")]
    NotYetValid,
}

/// A part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The first.
    Header,
    /// The second.
    Claims,
    /// The third.
    Signature,
}

impl Display for Part {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Header => "header",
            Self::Claims => "claims part",
            Self::Signature => "signature",
        })
    }
}

/// A claim that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// `iss`
    Issuer,
    /// `sub`
    Subject,
    /// `aud`
    Audience,
    /// `exp`
    Expiry,
    /// `nbf`
    NotBefore,
    /// `iat`
    IssuedAt,
    /// `AUTH_CUSTOMER_CLAIM`
    Customer,
    /// `AUTH_SCOPE_CLAIM`
    Scope,
}

impl Display for Claim {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Issuer => "`iss`",
            Self::Subject => "`sub`",
            Self::Audience => "`aud`",
            Self::Expiry => "`exp`",
            Self::NotBefore => "`nbf`",
            Self::IssuedAt => "`iat`",
            Self::Customer => "customer claim",
            Self::Scope => "scope claim",
        })
    }
}
