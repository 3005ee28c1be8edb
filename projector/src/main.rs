//! `projector`: applies the events of the outbox to the read models.

use clap::Parser;
use projector::ReadModels;
use projector::cli::{self, Cli};
use service_kit::config::{self, Vars};
use service_kit::telemetry;

/// Events consist of many small strings, which mimalloc allocates faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let vars = config::vars_of_process();
    let _flush = telemetry::init(&vars)?;
    run(cli, &vars)
}

#[tokio::main]
async fn run(cli: Cli, vars: &Vars) -> anyhow::Result<()> {
    cli::run(cli, vars, ReadModels::all()).await
}
