//! Waiting for a condition with a deadline, instead of sleeping and hoping.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long to let pass between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// The deadline passed first.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:?} for {what}; last seen: {last_seen}")]
pub struct TimedOut {
    /// What was waited for.
    pub what: String,
    /// For how long.
    pub waited: Duration,
    /// What the last look saw.
    pub last_seen: String,
}

/// Looks again and again until `look` answers `Ok`, and returns what it found.
///
/// # Errors
///
/// [`TimedOut`] with the last `Err` seen, once `limit` has passed.
pub async fn until<T, E, F, L>(what: &str, limit: Duration, mut look: L) -> Result<T, TimedOut>
where
    E: Debug,
    F: Future<Output = Result<T, E>>,
    L: FnMut() -> F,
{
    let start = Instant::now();
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(seen) if start.elapsed() >= limit => return Err(timed_out(what, start, &seen)),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The same for code that is not asynchronous; it blocks its thread.
///
/// # Errors
///
/// [`TimedOut`] with the last `Err` seen, once `limit` has passed.
pub fn until_blocking<T, E, L>(what: &str, limit: Duration, mut look: L) -> Result<T, TimedOut>
where
    E: Debug,
    L: FnMut() -> Result<T, E>,
{
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(seen) if start.elapsed() >= limit => return Err(timed_out(what, start, &seen)),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn timed_out(what: &str, start: Instant, seen: &impl Debug) -> TimedOut {
    TimedOut { what: what.to_owned(), waited: start.elapsed(), last_seen: format!("{seen:?}") }
}
