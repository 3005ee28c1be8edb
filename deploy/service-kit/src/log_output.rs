//! Standard output for the log, and for records, which no filter can switch off.
//!
//! One thread writes; all others only add lines to a queue of bounded size, so none of them ever waits for the reader
//! of the log. A service that must record what it does stops doing it while [`is_failing`].

#[cfg(feature = "web")]
mod metrics;
mod queue;
#[cfg(test)]
mod tests;
mod writer;

use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

#[cfg(feature = "web")]
pub(crate) use self::metrics::observe;
pub use self::queue::Dropped;
use self::queue::{Priority, Queue};
use self::writer::{StandardOutput, Writer};
use crate::health::Condition;

/// Lines that are not written yet, in bytes.
const CAPACITY: usize = 4 << 20;

/// How often a log that cannot be written is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// How often [`watch`] looks.
const WATCH: Duration = Duration::from_millis(250);

/// How long the end of the process waits for the reader of the log.
const FLUSH: Duration = Duration::from_secs(1);

static QUEUE: LazyLock<Queue> = LazyLock::new(|| Queue::new(CAPACITY));

/// Whether this process has a log.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Whether lines cannot be written now: the last write failed, a line has waited for a second, or half of the queue is
/// full. The other half is for records of what has begun before.
#[must_use]
pub fn is_failing() -> bool {
    QUEUE.is_failing()
}

/// How many lines this process has lost.
#[must_use]
pub fn dropped() -> Dropped {
    QUEUE.dropped()
}

/// Keeps `can_be_written` until nobody can read the log any more: the other end of the pipe is closed.
pub async fn watch(can_be_written: Condition) {
    loop {
        can_be_written.set(!is_failing());
        if tokio::time::timeout(WATCH, QUEUE.closed()).await.is_ok() {
            return can_be_written.set(false);
        }
    }
}

/// Writes one line of JSON with these fields, whatever `RUST_LOG` and `LOG_FORMAT` say.
pub fn record(target: &'static str, message: &'static str, fields: &impl Serialize) {
    add(Level::INFO, target, message, fields, Priority::High);
}

/// The same for what was refused while the log [is failing](is_failing): it is dropped first, as other lines of the
/// log are.
pub fn record_refusal(target: &'static str, message: &'static str, fields: &impl Serialize) {
    add(Level::INFO, target, message, fields, Priority::Low);
}

/// The same for a line of which there are many. They have little room, so that they never leave none for others.
pub fn record_access(level: Level, target: &'static str, message: &'static str, fields: &impl Serialize) {
    add(level, target, message, fields, Priority::Lowest);
}

/// The first fields are those of every line of the log.
#[derive(Serialize)]
struct Line<'a, T> {
    #[serde(serialize_with = "micros")]
    timestamp: DateTime<Utc>,
    level: &'static str,
    target: &'static str,
    message: &'static str,
    #[serde(flatten)]
    fields: &'a T,
}

/// Formatted at once: chrono's `Serialize` writes it in many small pieces.
fn micros<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn add(
    level: Level,
    target: &'static str,
    message: &'static str,
    fields: &impl Serialize,
    priority: Priority,
) {
    if !IS_OPEN.load(Ordering::Relaxed) {
        return;
    }
    let line = Line { timestamp: Utc::now(), level: level.as_str(), target, message, fields };
    let mut bytes = Vec::with_capacity(512);
    // Never fails: JSON can represent the line, and a vector takes all bytes.
    let _cannot_fail = serde_json::to_writer(&mut bytes, &line);
    bytes.push(b'\n');
    QUEUE.push(&bytes, priority);
}

/// Starts the thread that writes. Before this, [`record`] does nothing: a test that runs a service in its own process
/// has no log.
pub(crate) fn start() -> Flush {
    let keep_writing = || {
        let mut writer = Writer::new(StandardOutput::default(), RETRY);
        loop {
            writer.write_next(&QUEUE);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("log".to_owned()).spawn(keep_writing) {
        // It stays so: nothing will be recorded.
        QUEUE.failed(&error);
    }
    IS_OPEN.store(true, Ordering::Relaxed);
    Flush(())
}

/// When dropped, waits until all lines are written, but at most a second.
#[must_use = "when it is dropped, the lines so far are written; drop it at the end of the process"]
pub struct Flush(());

impl Drop for Flush {
    fn drop(&mut self) {
        QUEUE.flush(FLUSH);
    }
}

/// Adds whole lines to the queue. A line for which there is no room is dropped, and counted.
pub(crate) struct LogOutput;

impl<'a> MakeWriter<'a> for LogOutput {
    type Writer = Lines<'static>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines(&QUEUE)
    }
}

pub(crate) struct Lines<'a>(&'a Queue);

impl Write for Lines<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line, Priority::Low);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
