//! How many streams are open and how many requests wait, in each scrape.

use std::sync::Arc;

use metrics::{describe_gauge, gauge};
use service_kit::metrics::{Registry, rounded};
use tokio::sync::Semaphore;

/// Shows in `metric` how many of `max` permits are taken.
pub(crate) fn observe(
    registry: &Registry,
    metric: &'static str,
    description: &'static str,
    permits: Arc<Semaphore>,
    max: usize,
) {
    let taken = registry.register(|| {
        describe_gauge!(metric, description);
        gauge!(metric)
    });
    registry.before_each_scrape(move || taken.set(rounded(max.saturating_sub(permits.available_permits()))));
}
