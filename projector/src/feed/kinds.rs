//! Which kinds of events a client wants.

use std::collections::BTreeSet;

use shared_events::OrderChange;

/// The wanted kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Kinds {
    /// If empty: all but `order_republished`, also kinds that this build does not know.
    named: BTreeSet<&'static str>,
}

/// No kind has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", OrderChange::ALL.map(OrderChange::kind).join(", "))]
pub(super) struct UnknownKind;

impl Kinds {
    /// Adds a kind. A name that this build does not know would silently match nothing, so it is refused.
    pub(super) fn insert(&mut self, name: &str) -> Result<(), UnknownKind> {
        let kind = OrderChange::from_kind(name).ok_or(UnknownKind)?.kind();
        self.named.insert(kind);
        Ok(())
    }

    pub(super) fn contains(&self, kind: &str) -> bool {
        if self.named.is_empty() {
            kind != OrderChange::Republished.kind()
        } else {
            self.named.contains(kind)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn republished_events_are_left_out_unless_they_are_named() {
        let mut kinds = Kinds::default();
        let wanted =
            |kinds: &Kinds| ["order_placed", "order_republished", "new"].map(|kind| kinds.contains(kind));
        assert_eq!(wanted(&kinds), [true, false, true]);
        kinds.insert("order_republished").unwrap();
        assert_eq!(wanted(&kinds), [false, true, false]);
        kinds.insert("order_placed").unwrap();
        assert_eq!(wanted(&kinds), [true, true, false]);
        assert_eq!(kinds.insert("order_lost"), Err(UnknownKind));
    }
}
