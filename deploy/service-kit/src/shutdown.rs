//! SIGTERM and SIGINT as one cancellation token, and the two phases of a stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two moments of a stop. Between them the process is not ready, but still serves clients that have not noticed.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The stop begins: the process is no longer ready.
    pub begun: CancellationToken,
    /// Long requests, such as streams, must end.
    pub drain: CancellationToken,
}

impl Stop {
    /// Begins when `begun` is cancelled. The server decides when the drain begins.
    #[must_use]
    pub fn new(begun: CancellationToken) -> Self {
        Self { begun, drain: CancellationToken::new() }
    }
}

/// A token that is cancelled by the first SIGTERM or SIGINT of the process.
///
/// # Errors
///
/// The operating system's, when a handler cannot be installed.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    // Cancels also if this task dies, because signals would then be ignored.
    let cancel = stop.clone().drop_guard();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping: finishing requests in flight");
        drop(cancel);
    });
    Ok(stop)
}
