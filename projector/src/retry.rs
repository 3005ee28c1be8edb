//! How long to pause: after an empty look at the outbox, and after a failure.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The first pause after the outbox was found empty.
const SHORTEST_IDLE_PAUSE: Duration = Duration::from_millis(1);
/// The first and the longest pause after a failure. Short enough that work goes on within two seconds of the
/// database's return.
const SHORTEST_OUTAGE_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_secs(1);

/// Pauses of an idle worker: from 1 ms, doubling up to `longest`.
pub(crate) fn idle(longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST_IDLE_PAUSE.min(longest))
        .with_max_delay(longest)
        .with_factor(2.0)
        .without_max_times()
        .build()
}

/// Pauses while the database does not work: from 50 ms, doubling up to 1 s, with jitter so that many workers do not
/// come back at the same moment.
pub(crate) fn outage() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST_OUTAGE_PAUSE)
        .with_max_delay(LONGEST_OUTAGE_PAUSE)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_worker_pauses_longer_and_longer_up_to_the_limit_for_ever() {
        let pauses: Vec<_> =
            idle(Duration::from_millis(20)).take(1_000).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses[..7], [1, 2, 4, 8, 16, 20, 20]);
        assert_eq!(pauses.len(), 1_000);
    }

    #[test]
    fn a_failing_worker_never_gives_up_and_never_pauses_for_more_than_two_seconds() {
        let pauses: Vec<_> = outage().take(1_000).collect();
        assert_eq!(pauses.len(), 1_000);
        assert!(pauses.iter().all(|pause| (50..=2_000).contains(&pause.as_millis())), "{pauses:?}");
    }
}
