//! SIGTERM and SIGINT, seen as one cancellation token, and the two moments of a stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two moments of a stop. In between the process is no longer ready, but still serves clients that have not noticed.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The process is to stop.
    pub begun: CancellationToken,
    /// What lasts is to be ended.
    pub drain: CancellationToken,
}

impl Stop {
    /// Begins when this token is cancelled. Who serves decides when the drain begins.
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
    // Also if this task dies: signals would be ignored from then on.
    let cancel = stop.clone().drop_guard();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping: finishing what is in flight");
        drop(cancel);
    });
    Ok(stop)
}
