//! Waits for a condition with a deadline, instead of sleeping.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// Pause between two checks at first, and always for [`until_measured`].
const PAUSE: Duration = Duration::from_millis(5);

/// The longest. Checks, of which many are queries or processes, would otherwise keep the machine busy.
const MAX_PAUSE: Duration = Duration::from_millis(25);

/// The condition was not met in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:?} for {what}; last seen: {last_seen}")]
pub struct TimedOut {
    pub what: String,
    pub waited: Duration,
    /// The state at the last check.
    pub last_seen: String,
}

/// Calls `check` until it returns `Ok`, and returns that value.
///
/// # Errors
///
/// [`TimedOut`] with the last `Err`, after `limit`.
pub async fn until<T, E, F, L>(what: &str, limit: Duration, check: L) -> Result<T, TimedOut>
where
    E: Debug,
    F: Future<Output = Result<T, E>>,
    L: FnMut() -> F,
{
    until_with(pause_after, what, limit, check).await
}

/// The same with short pauses, for what measures the wait.
///
/// # Errors
///
/// As [`until`].
pub async fn until_measured<T, E, F, L>(what: &str, limit: Duration, check: L) -> Result<T, TimedOut>
where
    E: Debug,
    F: Future<Output = Result<T, E>>,
    L: FnMut() -> F,
{
    until_with(|_| PAUSE, what, limit, check).await
}

async fn until_with<T, E, F, L>(
    pause: fn(Duration) -> Duration,
    what: &str,
    limit: Duration,
    mut check: L,
) -> Result<T, TimedOut>
where
    E: Debug,
    F: Future<Output = Result<T, E>>,
    L: FnMut() -> F,
{
    let start = Instant::now();
    loop {
        match check().await {
            Ok(found) => return Ok(found),
            Err(seen) if start.elapsed() >= limit => return Err(timed_out(what, start, &seen)),
            Err(_) => tokio::time::sleep(pause(start.elapsed())).await,
        }
    }
}

/// The same for synchronous code; it blocks its thread.
///
/// # Errors
///
/// [`TimedOut`] with the last `Err`, after `limit`.
pub fn until_blocking<T, E, L>(what: &str, limit: Duration, mut check: L) -> Result<T, TimedOut>
where
    E: Debug,
    L: FnMut() -> Result<T, E>,
{
    let start = Instant::now();
    loop {
        match check() {
            Ok(found) => return Ok(found),
            Err(seen) if start.elapsed() >= limit => return Err(timed_out(what, start, &seen)),
            Err(_) => std::thread::sleep(pause_after(start.elapsed())),
        }
    }
}

/// A small part of the time waited.
fn pause_after(waited: Duration) -> Duration {
    (waited / 16).clamp(PAUSE, MAX_PAUSE)
}

fn timed_out(what: &str, start: Instant, seen: &impl Debug) -> TimedOut {
    TimedOut { what: what.to_owned(), waited: start.elapsed(), last_seen: format!("{seen:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_short_at_first_and_a_small_part_of_a_long_wait() {
        let pause = |waited| pause_after(Duration::from_millis(waited)).as_millis();
        assert_eq!([pause(0), pause(80), pause(160), pause(400), pause(60_000)], [5, 5, 10, 25, 25]);
    }
}
