//! Standard output for the log, and for records, which no filter can switch off. It remembers whether the last line
//! could be written: a service that must record what it does stops doing it.

use std::io::{self, ErrorKind, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

static STATE: LazyLock<State> = LazyLock::new(State::default);

/// Whether the last line of the log could not be written.
#[must_use]
pub fn is_failing() -> bool {
    STATE.is_failing.load(Ordering::Relaxed)
}

/// Waits until nobody can read the log any more: the other end of the pipe is closed.
pub async fn closed() {
    STATE.closed.cancelled().await;
}

/// Records that are not written yet.
static RECORDS: Mutex<Records> = Mutex::new(Records { lines: Vec::new(), is_open: false });

struct Records {
    lines: Vec<u8>,
    /// Whether this process has a log.
    is_open: bool,
}

fn records() -> MutexGuard<'static, Records> {
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Before this, [`record`] does nothing: a test that runs a service in its own process has no log.
pub(crate) fn record_from_now_on() {
    records().is_open = true;
}

/// Writes `line` as one line of JSON, whatever `RUST_LOG` and `LOG_FORMAT` say. It is written after what the runtime's
/// thread has to do now: the requests of one commit share a system call, which costs more than the rest of a line.
pub fn record(line: &impl Serialize) {
    let mut records = records();
    if !records.is_open {
        return;
    }
    let is_first = records.lines.is_empty();
    // Never: JSON can represent the line, and a vector takes all bytes.
    let _cannot_fail = serde_json::to_writer(&mut records.lines, line);
    records.lines.push(b'\n');
    drop(records);
    // The first line takes those with it that follow until then.
    let write = is_first.then_some(WriteRecords);
    if let (Some(write), Ok(runtime)) = (write, Handle::try_current()) {
        runtime.spawn(async move { drop(write) });
    }
}

/// Writes the records when it is dropped, also if the runtime ends before.
struct WriteRecords;

impl Drop for WriteRecords {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut records().lines);
        // `Watched` has noted an error.
        let _noted = LogOutput.make_writer().write_all(&lines);
    }
}

#[derive(Debug, Default)]
struct State {
    is_failing: AtomicBool,
    closed: CancellationToken,
}

impl State {
    fn record(&self, written: &io::Result<()>) {
        let Err(error) = written else {
            // Read first: a store by every thread for every line would move the cache line about.
            if self.is_failing.load(Ordering::Relaxed) {
                self.is_failing.store(false, Ordering::Relaxed);
            }
            return;
        };
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            let _also_closed = writeln!(io::stderr(), "the log cannot be written: {error}");
        }
        if error.kind() == ErrorKind::BrokenPipe {
            self.closed.cancel();
        }
    }
}

/// Writes whole lines to standard output.
pub(crate) struct LogOutput;

impl<'a> MakeWriter<'a> for LogOutput {
    type Writer = Watched<'static, Stdout>;

    fn make_writer(&'a self) -> Self::Writer {
        Watched { output: io::stdout(), state: &STATE }
    }
}

/// An output whose failures are recorded.
pub(crate) struct Watched<'a, W> {
    output: W,
    state: &'a State,
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.output.write_all(line).and_then(|()| self.output.flush());
        self.state.record(&written);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails as often as it has errors, the last one first.
    struct Failing(Vec<ErrorKind>);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.pop().map_or(Ok(bytes.len()), |error| Err(error.into()))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn it_fails_from_a_failed_line_to_the_next_one_that_is_written() {
        let state = State::default();
        let mut output = Watched { output: Failing(vec![ErrorKind::StorageFull]), state: &state };
        assert!(output.write_all(b"a\n").is_err());
        assert!(state.is_failing.load(Ordering::Relaxed));
        assert!(output.write_all(b"b\n").is_ok());
        assert!(!state.is_failing.load(Ordering::Relaxed));
        assert!(!state.closed.is_cancelled());
    }

    #[test]
    fn a_pipe_without_a_reader_is_closed_for_good() {
        let state = State::default();
        let mut output = Watched { output: Failing(vec![ErrorKind::BrokenPipe]), state: &state };
        assert!(output.write_all(b"a\n").is_err());
        assert!(state.closed.is_cancelled());
    }
}
