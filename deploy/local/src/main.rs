//! `local`: the whole system on this machine, with one command.

use std::process::ExitCode;

use clap::Parser;
use local::launcher::{self, Options};
use service_kit::arguments;
use service_kit::process::{self, Report};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Starts a private PostgreSQL and the three services, places a few orders, and runs until Ctrl-C.
///
/// With `DATABASE_URL`, or the file that `DATABASE_URL_FILE` names, it uses the server of this URL instead of a
/// private one. Its user applies the migrations, and must be able to SET ROLE to the roles of the services. The orders
/// of the demonstration stay there.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let cli: Cli = arguments::parse();
    process::end(Report::Terminal, run(cli.options))
}

// Children are bound to the thread that starts them: the main thread, which lives as long as the process. The worker
// thread handles signals while the main thread waits for PostgreSQL.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn run(options: Options) -> anyhow::Result<ExitCode> {
    launcher::run(options, stop_on_signals()?).await?;
    Ok(ExitCode::SUCCESS)
}

/// The first signal cancels the token. The second ends the process at once, and the kernel ends its children.
fn stop_on_signals() -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if cancel.is_cancelled() {
                std::process::exit(130);
            }
            cancel.cancel();
        }
    });
    Ok(stop)
}
