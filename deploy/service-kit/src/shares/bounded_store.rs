//! The state of a rate, for a bounded number of keys.

use std::array;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;

const SHARDS: usize = 16;

/// Most keys of all shards together.
pub(super) const KEYS_MAX: usize = 65_536;
const SHARD_MAX: usize = KEYS_MAX / SHARDS;

/// From here on idle keys are removed.
const CROWDED: usize = SHARD_MAX / 4 * 3;

/// States by key. A key is a hash that callers cannot choose, so its bits select the shard.
pub(super) struct BoundedStore {
    shards: [Mutex<Shard>; SHARDS],
    is_crowded: AtomicBool,
}

#[derive(Default)]
struct Shard {
    states: HashMap<u64, Nanos>,
    /// The state that all keys share for which there is no room.
    others: Option<Nanos>,
}

/// A store whose states change.
pub(super) struct Changing(pub(super) Arc<BoundedStore>);

/// The same states, which stay as they are: answers what would happen.
pub(super) struct Unchanged(pub(super) Arc<BoundedStore>);

impl BoundedStore {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { shards: array::from_fn(|_| Mutex::default()), is_crowded: AtomicBool::new(false) })
    }

    /// Whether keys came since the last call for which there was little room.
    pub(super) fn take_crowded(&self) -> bool {
        self.is_crowded.load(Ordering::Relaxed) && self.is_crowded.swap(false, Ordering::Relaxed)
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        let [.., last] = key.to_le_bytes();
        let [first, ..] = &self.shards;
        lock(self.shards.get(usize::from(last) % SHARDS).unwrap_or(first))
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).states.len()).sum()
    }
}

impl Shard {
    fn state(&self, key: u64) -> Option<Nanos> {
        let is_full = self.states.len() >= SHARD_MAX;
        self.states.get(&key).copied().or(if is_full { self.others } else { None })
    }

    fn set(&mut self, key: u64, state: Nanos) {
        if let Some(known) = self.states.get_mut(&key) {
            *known = state;
        } else if self.states.len() < SHARD_MAX {
            self.states.insert(key, state);
        } else {
            self.others = Some(state);
        }
    }
}

impl StateStore for Changing {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.0.shard(*key);
        if shard.states.len() >= CROWDED {
            self.0.is_crowded.store(true, Ordering::Relaxed);
        }
        let (outcome, state) = measure(shard.state(*key))?;
        shard.set(*key, state);
        Ok(outcome)
    }
}

impl StateStore for Unchanged {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let state = self.0.shard(*key).state(*key);
        measure(state).map(|(outcome, _)| outcome)
    }
}

impl ShrinkableKeyedStateStore<u64> for Changing {
    fn retain_recent(&self, drop_below: Nanos) {
        for shard in &self.0.shards {
            lock(shard).states.retain(|_, state| *state > drop_below);
        }
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // No code that holds the lock can panic.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
