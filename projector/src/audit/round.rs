//! Whether all orders were checked once. A process begins at a random order, and goes on at the first after the last.

use uuid::Uuid;

/// A round that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// It began after this id.
    start: Uuid,
    has_seen_the_last: bool,
}

impl Round {
    pub(super) fn begin(start: Uuid) -> Self {
        Self { start, has_seen_the_last: false }
    }

    /// All orders up to this one were checked. None if the round is complete.
    pub(super) fn checked(self, up_to: Uuid) -> Option<Self> {
        if self.has_seen_the_last && up_to >= self.start {
            return None;
        }
        Some(Self { has_seen_the_last: self.has_seen_the_last || up_to == Uuid::max(), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_complete_when_it_is_back_at_its_start() {
        let id = Uuid::from_u128;
        let mut round = Some(Round::begin(id(50)));
        for up_to in [id(60), Uuid::max(), id(20), id(49)] {
            round = round.and_then(|round| round.checked(up_to));
            assert!(round.is_some(), "{up_to}");
        }
        assert_eq!(round.and_then(|round| round.checked(id(50))), None);
        let last_page =
            Round::begin(id(50)).checked(Uuid::max()).and_then(|round| round.checked(Uuid::max()));
        assert_eq!(last_page, None);
    }
}
