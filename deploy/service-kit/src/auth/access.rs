//! What a resource needs.

use std::sync::Arc;

use super::verified::Verified;
use super::{Caller, Grant};

/// Who may use a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token: pages and documents without data.
    Open,
    /// Callers with one of these rights.
    Needs(&'static [Right]),
}

/// One way to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// A token with this scope and without a customer claim: for the orders of all customers.
    Any(&'static str),
    /// A token with this scope and a customer claim: for the orders of that customer.
    Own(&'static str),
}

impl Right {
    /// The scope that it needs.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Any(scope) | Self::Own(scope) => scope,
        }
    }

    fn is_held_by(self, caller: &Caller) -> bool {
        let is_own = matches!(self, Self::Own(_));
        is_own == caller.customer().is_some() && caller.has_scope(self.scope())
    }
}

/// What this caller may do with a resource that needs one of `rights`; `None` if it has none of them.
pub(super) fn grant(verified: &Arc<Verified>, rights: &'static [Right]) -> Option<Grant> {
    let right = rights.iter().find(|right| right.is_held_by(&verified.caller))?;
    Some(Grant::of(Arc::clone(verified), right.scope()))
}
