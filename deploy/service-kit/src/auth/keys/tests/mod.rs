//! Tests of the keys' source, refresh and age.

mod demand;
mod fetch;
mod keeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::Algorithm;
use metrics::{counter, gauge};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::auth::tests::{TestKey, health, metric};
use crate::health::Health;
use crate::metrics::Registry;

/// Keys with their keeper.
struct Kept {
    keys: Arc<Keys>,
    health: Health,
    registry: Registry,
    changes: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Kept {
    /// Fetches at fixed times.
    fn start(source: Source) -> Self {
        Self::with_random(source, || 0.0)
    }

    fn with_random(source: Source, random: fn() -> f64) -> Self {
        let (health, registry) = (health(), Registry::new(&[]).unwrap());
        let reports = registry.register(|| Reports {
            has_keys: health.add_condition("There are no keys."),
            age_seconds: gauge!("age"),
            fetch_failures: counter!("failures"),
        });
        let changes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&changes);
        let on_change = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        let (mut keeper, keys) = Keeper::new(source, vec![Algorithm::EdDSA], reports, on_change);
        keeper.random = random;
        let task = AbortOnDropHandle::new(tokio::spawn(keeper.run()));
        Self { keys, health, registry, changes, _task: task }
    }

    fn has(&self, key: &TestKey) -> bool {
        self.keys.current().keys.find(key.kid).is_some()
    }

    fn is_ready(&self) -> bool {
        assert_eq!(self.health.ready().is_ok(), self.keys.generation().is_some());
        self.health.ready().is_ok()
    }

    fn failures(&self) -> u64 {
        metric(&self.registry, "failures")
    }

    fn age(&self) -> f64 {
        metric(&self.registry, "age")
    }
}
