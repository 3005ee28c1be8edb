//! How many streams are open and how many requests wait, in each scrape.

use std::sync::Arc;

use metrics::{describe_gauge, gauge};
use service_kit::metrics::{Registry, rounded};
use tokio::sync::Semaphore;

/// Shows in `metric` how many of `max` permits are taken, and `max` in `max_metric`.
pub(crate) fn observe(
    registry: &Registry,
    (metric, description): (&'static str, &'static str),
    (max_metric, max_description): (&'static str, &'static str),
    permits: Arc<Semaphore>,
    max: usize,
) {
    let taken = registry.register(|| {
        describe_gauge!(metric, description);
        describe_gauge!(max_metric, max_description);
        gauge!(max_metric).set(rounded(max));
        gauge!(metric)
    });
    registry.before_each_scrape(move || taken.set(rounded(max.saturating_sub(permits.available_permits()))));
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[actix_web::test]
    async fn each_scrape_shows_how_many_are_taken_of_how_many() {
        let (registry, permits) = (Registry::new(&[]).unwrap(), Arc::new(Semaphore::new(5)));
        observe(&registry, ("taken", "Taken."), ("all", "All."), Arc::clone(&permits), 5);
        let _taken = permits.try_acquire_many(2).unwrap();
        let text = to_bytes(registry.response().into_body()).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        for line in ["taken 2", "all 5"] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }
}
