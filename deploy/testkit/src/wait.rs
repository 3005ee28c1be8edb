//! Waits for a condition with a deadline, instead of sleeping.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(5);

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
pub async fn until<T, E, F, L>(what: &str, limit: Duration, mut check: L) -> Result<T, TimedOut>
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
            Err(_) => tokio::time::sleep(PAUSE).await,
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
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn timed_out(what: &str, start: Instant, seen: &impl Debug) -> TimedOut {
    TimedOut { what: what.to_owned(), waited: start.elapsed(), last_seen: format!("{seen:?}") }
}
