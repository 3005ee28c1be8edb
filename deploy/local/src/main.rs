//! `local`: the whole system on this machine, with one command.

use anyhow::bail;
use clap::Parser;
use local::launcher::{self, Options};
use tokio::signal::unix::{SignalKind, signal};

/// Starts a private PostgreSQL and the three services, places a few orders, and runs until Ctrl-C.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

// One thread: the children are bound to the one that starts them, and this one lives as long as the process.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Cli::parse().options;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // Whichever comes first, the future of the launcher is dropped, and with it everything that it started.
    tokio::select! {
        ended = launcher::run(options) => ended,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => bail!("the terminal is gone"),
    }
}
