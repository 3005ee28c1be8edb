//! How long a process may rely on its leases.

use std::time::{Duration, Instant, SystemTime};

use service_kit::overload::OncePerSecond;

/// A lease lasts this much longer than a request may take, so that its result can be recorded. A request that starts
/// later than this after its lease began could still run after the end of the lease.
pub(crate) const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Now, by both clocks. The monotonic one, which nobody sets, stands still while the machine is suspended; the other
/// one is set when it goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// The longer of the times by either clock. If one is set forward, that is too long.
    fn since(self, earlier: Self) -> Duration {
        // It may have been set back: then this one says nothing.
        let by_wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        self.monotonic.saturating_duration_since(earlier.monotonic).max(by_wall)
    }
}

/// Leases that began together. A process that was stopped for a while (a suspended machine, no time on its processor)
/// must not send what another one may have sent since, and what came after that: the receiver would get an old event
/// last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    since: Moment,
}

impl Lease {
    pub(crate) fn new(now: Moment) -> Self {
        Self { since: now }
    }

    /// Returns `request` if it may start now. Else its lease ends by itself, and it is sent then.
    pub(crate) fn start<R>(self, now: Moment, request: R) -> Option<R> {
        static LATE: OncePerSecond = OncePerSecond::new();
        if now.since(self.since) < LEASE_MARGIN {
            return Some(request);
        }
        if let Some(times) = LATE.count() {
            tracing::warn!(
                times,
                "webhooks were not sent: this process stood still for seconds after leasing them, or the clock was set"
            );
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The process stood still for the first time, and the machine was suspended for the second one as well.
    #[test]
    fn a_request_starts_only_while_its_lease_outlasts_it() {
        let start = Moment::now();
        let lease = Lease::new(start);
        for (stood_still, suspended, started) in [
            (0, 0, Some(())),
            (4_999, 0, Some(())),
            (5_000, 0, None),
            (60_000, 0, None),
            (0, 4_999, Some(())),
            (0, 5_000, None),
            (2_000, 3_000, None),
        ] {
            let later = Duration::from_millis;
            let now = Moment {
                monotonic: start.monotonic + later(stood_still),
                wall: start.wall + later(stood_still + suspended),
            };
            assert_eq!(lease.start(now, ()), started, "{stood_still} and {suspended} ms");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_prolongs_no_lease_and_ends_none() {
        let start = Moment::now();
        let lease = Lease::new(start);
        for (seconds, started) in [(4, Some(())), (5, None)] {
            let monotonic = start.monotonic + Duration::from_secs(seconds);
            let now = Moment { monotonic, wall: start.wall - Duration::from_hours(1) };
            assert_eq!(lease.start(now, ()), started, "{seconds}");
        }
    }
}
