//! The claims of a verified token.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// The claims of a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub(super) subject: Arc<str>,
    /// The customer that the token belongs to; `None` for a service or for staff.
    pub(super) customer: Option<Arc<str>>,
    /// Separated by spaces: in one piece, a token of many short scopes takes no more memory than its text.
    pub(super) scopes: Arc<str>,
    /// From when on the token is refused: the claim `exp` plus `AUTH_LEEWAY_S`.
    pub(super) expires: DateTime<Utc>,
}

impl Caller {
    /// Who calls.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The customer that the token belongs to.
    #[must_use]
    pub fn customer(&self) -> Option<&str> {
        self.customer.as_deref()
    }

    pub(super) fn has_scope(&self, scope: &str) -> bool {
        self.scopes.split(' ').any(|found| found == scope)
    }
}
