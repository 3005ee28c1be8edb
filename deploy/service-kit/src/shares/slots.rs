//! Streams and waits at once, for each key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what keys hold. A key that holds nothing takes no memory.
#[derive(Clone, Default)]
pub(super) struct Slots(Arc<Mutex<HashMap<u64, u32>>>);

/// A stream or a wait that counts for its caller until this is dropped.
#[must_use = "dropping it releases the slot"]
pub struct Held(Option<(Slots, u64)>);

impl Held {
    /// Counts for nobody.
    pub const fn uncounted() -> Self {
        Self(None)
    }
}

impl Slots {
    /// One more for the key, if it then has `max` at most.
    pub(super) fn hold(&self, key: u64, max: u32) -> Option<Held> {
        let mut held = self.lock();
        let count = held.entry(key).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Held(Some((self.clone(), key))))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        // No code that holds the lock can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some((slots, key)) = &self.0 else { return };
        if let Entry::Occupied(mut count) = slots.lock().entry(*key) {
            *count.get_mut() -= 1;
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
        let mut held: Vec<_> = (0..3).filter_map(|_| slots.hold(1, 2)).collect();
        assert_eq!(held.len(), 2);
        let other = slots.hold(2, 2);
        assert!(other.is_some());
        held.pop();
        held.extend(slots.hold(1, 2));
        assert!(held.len() == 2 && slots.hold(1, 2).is_none());
        drop((held, other));
        assert!(slots.lock().is_empty());
    }
}
