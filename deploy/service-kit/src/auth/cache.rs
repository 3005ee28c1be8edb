//! Tokens that were verified: verifying a signature costs as much as an order.
//!
//! An entry counts only for the key set that verified it, and until its token expires. Each lookup takes one lock of
//! [`SHARDS`]. A full shard replaces the entry that was not used since the hand last passed it (the clock algorithm).

use std::array;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

const SHARDS: usize = 16;
/// Most entries of all shards together.
pub(super) const ENTRIES_MAX: usize = 10_000;
const SHARD_MAX: usize = ENTRIES_MAX / SHARDS;

/// The SHA-256 of a token: the cache holds nothing that can be used as a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// A bounded cache of verified tokens.
pub(super) struct Cache<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
}

struct Shard<V> {
    /// The index of a token's slot.
    indexes: HashMap<TokenHash, usize>,
    slots: Vec<Slot<V>>,
    hand: usize,
}

struct Slot<V> {
    hash: TokenHash,
    generation: u64,
    until: DateTime<Utc>,
    is_used: bool,
    value: Arc<V>,
}

impl<V> Cache<V> {
    pub(super) fn new() -> Self {
        let shard = || Shard { indexes: HashMap::new(), slots: Vec::new(), hand: 0 };
        Self { shards: array::from_fn(|_| Mutex::new(shard())) }
    }

    /// What was inserted for the token under this generation of the key set, if it has not expired.
    pub(super) fn get(&self, hash: TokenHash, generation: u64, now: DateTime<Utc>) -> Option<Arc<V>> {
        let mut shard = self.shard(hash)?;
        let index = *shard.indexes.get(&hash)?;
        let slot = shard.slots.get_mut(index)?;
        if slot.generation != generation || now >= slot.until {
            return None;
        }
        slot.is_used = true;
        Some(Arc::clone(&slot.value))
    }

    /// Adds a token that a key of this generation has verified, and which counts before `until`.
    pub(super) fn insert(&self, hash: TokenHash, generation: u64, until: DateTime<Utc>, value: Arc<V>) {
        let Some(mut shard) = self.shard(hash) else { return };
        shard.insert(Slot { hash, generation, until, is_used: false, value });
    }

    /// Removes all entries.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.indexes.clear();
            shard.slots.clear();
            shard.hand = 0;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).slots.len()).sum()
    }

    fn shard(&self, hash: TokenHash) -> Option<MutexGuard<'_, Shard<V>>> {
        let [first, ..] = hash.0;
        self.shards.get(usize::from(first) % SHARDS).map(lock)
    }
}

impl<V> Shard<V> {
    fn insert(&mut self, slot: Slot<V>) {
        match self.indexes.entry(slot.hash) {
            Entry::Occupied(known) => {
                if let Some(old) = self.slots.get_mut(*known.get()) {
                    *old = slot;
                }
            }
            Entry::Vacant(new) if self.slots.len() < SHARD_MAX => {
                new.insert(self.slots.len());
                self.slots.push(slot);
            }
            Entry::Vacant(_) => self.replace(slot),
        }
    }

    /// Replaces the first unused entry from the hand on. Ends, because a pass marks all entries as unused.
    fn replace(&mut self, slot: Slot<V>) {
        loop {
            let index = self.hand;
            self.hand = (index + 1) % SHARD_MAX;
            let Some(old) = self.slots.get_mut(index) else { return };
            if std::mem::take(&mut old.is_used) {
                continue;
            }
            self.indexes.remove(&old.hash);
            self.indexes.insert(slot.hash, index);
            *old = slot;
            return;
        }
    }
}

fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    // No code that holds the lock can panic.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn token(number: usize) -> TokenHash {
        TokenHash::of(&number.to_string())
    }

    #[test]
    fn an_entry_counts_for_its_own_token_and_key_set_and_until_it_expires() {
        let cache = Cache::new();
        cache.insert(token(1), 7, at(100), Arc::new("caller"));
        let last = at(100) - TimeDelta::milliseconds(1);
        assert_eq!(cache.get(token(1), 7, last).as_deref(), Some(&"caller"));
        assert_eq!(cache.get(token(1), 7, at(100)), None, "expired");
        assert_eq!(cache.get(token(1), 8, last), None, "another key set");
        assert_eq!(cache.get(token(2), 7, last), None, "another token");
        cache.insert(token(1), 8, at(100), Arc::new("again"));
        assert_eq!(cache.get(token(1), 8, last).as_deref(), Some(&"again"));
        assert_eq!(cache.len(), 1);
        cache.clear();
        assert_eq!((cache.get(token(1), 8, last), cache.len()), (None, 0));
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let cache = Cache::new();
        for number in 0..100 {
            cache.insert(token(number), 1, at(100), Arc::new(number));
        }
        for number in 100..5 * ENTRIES_MAX {
            cache.insert(token(number), 1, at(100), Arc::new(number));
            let used = number % 100;
            assert_eq!(cache.get(token(used), 1, at(0)).as_deref(), Some(&used), "after {number}");
        }
        assert!(cache.len() <= ENTRIES_MAX, "{}", cache.len());
        assert!(cache.len() > ENTRIES_MAX * 9 / 10, "{}", cache.len());
        assert_eq!(cache.shards.iter().map(|shard| lock(shard).indexes.len()).sum::<usize>(), cache.len());
    }
}
