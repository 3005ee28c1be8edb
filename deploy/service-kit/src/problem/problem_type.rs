//! The problem types that all services share.

/// A documented kind of error. Each service lists its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemType {
    /// The HTTP status.
    pub status: u16,
    /// The last part of the problem's `type`: stable, for programs.
    pub slug: &'static str,
    /// A short title that never changes.
    pub title: &'static str,
    /// When it occurs, and what the client can do.
    pub when: &'static str,
}

impl ProblemType {
    /// Whether the same request may succeed soon.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self.status, 429 | 503)
    }
}

/// 404: no route has this path.
pub const NO_SUCH_RESOURCE: ProblemType = ProblemType {
    status: 404,
    slug: "no-such-resource",
    title: "No such resource",
    when: "There is no resource at this path.",
};

/// 408: the head of the request did not arrive in time.
pub const HEAD_TOO_SLOW: ProblemType = ProblemType {
    status: 408,
    slug: "head-too-slow",
    title: "Head too slow",
    when: "The head of the request did not arrive within 5 seconds.",
};

/// 431: the head of the request is too large.
pub const HEAD_TOO_LARGE: ProblemType = ProblemType {
    status: 431,
    slug: "head-too-large",
    title: "Head too large",
    when: "The head of the request has more than 32 KiB.",
};

/// 405: with the methods that are allowed.
pub const METHOD_NOT_ALLOWED: ProblemType = ProblemType {
    status: 405,
    slug: "method-not-allowed",
    title: "Method not allowed",
    when: "The resource does not support this method; `Allow` lists those that it supports.",
};

/// 400: a parameter or header breaks a rule.
pub const INVALID_PARAMETER: ProblemType = ProblemType {
    status: 400,
    slug: "invalid-parameter",
    title: "Invalid parameter",
    when: "A parameter or header is invalid; `errors` names the rule.",
};

/// 401: there is no valid token.
pub const UNAUTHENTICATED: ProblemType = ProblemType {
    status: 401,
    slug: "unauthenticated",
    title: "Unauthenticated",
    when: "The request needs a valid access token: `Authorization: Bearer <token>`.",
};

/// 403: the token is valid, and not enough.
pub const INSUFFICIENT_SCOPE: ProblemType = ProblemType {
    status: 403,
    slug: "insufficient-scope",
    title: "Insufficient scope",
    when: "The token does not allow this. `WWW-Authenticate` names the scopes of this operation; \
        some need a token without, some with a customer claim.",
};

/// 403: with `AUTH=off`, the request is from elsewhere.
pub const NOT_LOCAL: ProblemType = ProblemType {
    status: 403,
    slug: "not-local",
    title: "Not from this machine",
    when: "The service runs with `AUTH=off`, which is for programs on its machine only: `Host` must be `localhost` or \
        a loopback address, and the request must not be from a web page of another site.",
};

/// 429: the caller is over its share.
pub const TOO_MANY_REQUESTS: ProblemType = ProblemType {
    status: 429,
    slug: "too-many-requests",
    title: "Too many requests",
    when: "The caller is over its share: requests a second, or streams or waits at once. Nothing was done; send the \
        same request again after `Retry-After`, and fewer of them.",
};

/// 503: nothing was done, and the same request may succeed in a second.
pub const UNAVAILABLE: ProblemType = ProblemType {
    status: 503,
    slug: "unavailable",
    title: "Temporarily unavailable",
    when: "Nothing was done; send the same request again after `Retry-After`.",
};

/// 500: a bug; the cause is only in the log.
pub const INTERNAL: ProblemType = ProblemType {
    status: 500,
    slug: "internal",
    title: "Internal error",
    when: "The service failed; its log has the cause.",
};
