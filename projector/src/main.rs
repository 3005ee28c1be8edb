//! `projector`: applies the events of the outbox to the read models.

use std::process::ExitCode;

use projector::ReadModels;
use projector::cli::{self, Cli};
use service_kit::config::Vars;
use service_kit::{arguments, process};

/// Events consist of many small strings, which mimalloc allocates faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli: Cli = arguments::parse();
    process::run(cli.report(), |vars| run(cli, vars).map(|()| ExitCode::SUCCESS))
}

#[tokio::main]
async fn run(cli: Cli, vars: &Vars) -> anyhow::Result<()> {
    cli::run(cli, vars, ReadModels::all()).await
}
