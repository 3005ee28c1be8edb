//! The kinds of errors that all services have in common.

/// A kind of error, as it is documented: each service lists its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemType {
    /// The HTTP status.
    pub status: u16,
    /// The last part of the problem's `type`: stable, meant for programs.
    pub slug: &'static str,
    /// What it is, in a few words that never change.
    pub title: &'static str,
    /// When it is answered, and what the client can do.
    pub when: &'static str,
}

/// 404: no route has this path.
pub const NO_SUCH_RESOURCE: ProblemType = ProblemType {
    status: 404,
    slug: "no-such-resource",
    title: "No such resource",
    when: "Nothing is served at this path.",
};

/// 408: the head of the request did not arrive in time.
pub const HEAD_TOO_SLOW: ProblemType = ProblemType {
    status: 408,
    slug: "head-too-slow",
    title: "Head too slow",
    when: "The head of the request did not arrive within 5 seconds.",
};

/// 405: with the methods that are allowed.
pub const METHOD_NOT_ALLOWED: ProblemType = ProblemType {
    status: 405,
    slug: "method-not-allowed",
    title: "Method not allowed",
    when: "`Allow` names the methods that this resource answers to.",
};

/// 400: a parameter or header breaks a rule.
pub const INVALID_PARAMETER: ProblemType = ProblemType {
    status: 400,
    slug: "invalid-parameter",
    title: "Invalid parameter",
    when: "A parameter or header breaks the rule named in `errors`.",
};

/// 503: nothing happened, and the same request may succeed in a second.
pub const UNAVAILABLE: ProblemType = ProblemType {
    status: 503,
    slug: "unavailable",
    title: "Temporarily unavailable",
    when: "Nothing happened; send the same request again after `Retry-After`.",
};

/// 500: our fault, told in the log and nowhere else.
pub const INTERNAL: ProblemType = ProblemType {
    status: 500,
    slug: "internal",
    title: "Internal error",
    when: "The service failed on this request; its operators can find out why.",
};
