//! Callers whose token is valid, and not enough.

use metrics::Counter;

use super::{Caller, Right, text};
use crate::overload::OncePerSecondEach;
use crate::problem::{INSUFFICIENT_SCOPE, Problem};

/// Counts and logs callers whose token is valid, and not enough.
pub(super) struct Forbidden {
    refused: Counter,
    lines: OncePerSecondEach,
}

impl Forbidden {
    pub(super) fn new(refused: Counter) -> Self {
        Self { refused, lines: OncePerSecondEach::default() }
    }

    /// 403 for a caller who has none of these rights. Counts it, and logs it if a line is due.
    pub(super) fn refuse(&self, caller: &Caller, rights: &[Right]) -> Problem {
        let scopes: Vec<_> = rights.iter().map(|right| right.scope()).collect();
        let needed = scopes.join(" ");
        self.refused.increment(1);
        if let Some(times) = self.lines.count(caller.subject()) {
            let subject = text::escaped(caller.subject());
            tracing::info!(times, %subject, needed, "a caller is not allowed");
        }
        let challenge = format!(r#"Bearer error="insufficient_scope", scope="{needed}""#);
        INSUFFICIENT_SCOPE.with(INSUFFICIENT_SCOPE.when).with_challenge(challenge)
    }
}
