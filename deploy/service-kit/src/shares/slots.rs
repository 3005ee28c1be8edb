//! What each key holds at once: streams, waits, bodies, bytes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what keys hold. A key that holds nothing takes no memory.
#[derive(Clone, Default)]
pub(super) struct Slots(Arc<Mutex<HashMap<u64, usize>>>);

/// What counts for its caller until this is dropped.
#[must_use = "dropping it releases what is held"]
pub struct Held(Option<Counted>);

struct Counted {
    slots: Slots,
    key: u64,
    amount: usize,
}

impl Held {
    /// Counts for nobody.
    pub const fn uncounted() -> Self {
        Self(None)
    }

    /// Holds this much more, if the key then has `max` at most. Returns whether it does.
    pub(super) fn grow(&mut self, more: usize, max: usize) -> bool {
        let Self(Some(counted)) = self else { return true };
        let is_within = counted.slots.add(counted.key, more, max);
        if is_within {
            counted.amount += more;
        }
        is_within
    }
}

impl Slots {
    /// This much more for the key, if it then has `max` at most.
    pub(super) fn hold(&self, key: u64, amount: usize, max: usize) -> Option<Held> {
        let counted = || Held(Some(Counted { slots: self.clone(), key, amount }));
        self.add(key, amount, max).then(counted)
    }

    fn add(&self, key: u64, amount: usize, max: usize) -> bool {
        let mut held = self.lock();
        let before = held.get(&key).copied().unwrap_or_default();
        let Some(count) = before.checked_add(amount).filter(|count| *count <= max) else { return false };
        held.insert(key, count);
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        // No code that holds the lock can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.slots.lock().entry(self.key) {
            *count.get_mut() = count.get().saturating_sub(self.amount);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_holds_its_maximum_until_it_drops_one() {
        let slots = Slots::default();
        let mut held: Vec<_> = (0..3).filter_map(|_| slots.hold(1, 1, 2)).collect();
        assert_eq!(held.len(), 2);
        let other = slots.hold(2, 1, 2);
        assert!(other.is_some());
        held.pop();
        held.extend(slots.hold(1, 1, 2));
        assert!(held.len() == 2 && slots.hold(1, 1, 2).is_none());
        drop((held, other));
        assert!(slots.lock().is_empty());
    }

    #[test]
    fn what_grows_is_released_as_a_whole_and_counts_for_its_key_only() {
        let slots = Slots::default();
        let mut first = slots.hold(1, 40, 100).unwrap();
        let mut second = slots.hold(1, 40, 100).unwrap();
        assert!(first.grow(20, 100) && !second.grow(1, 100), "together they hold 100");
        assert!(slots.hold(2, 100, 100).is_some());
        drop(first);
        assert!(second.grow(60, 100) && !second.grow(usize::MAX, usize::MAX));
        drop(second);
        assert!(slots.lock().is_empty());
    }
}
