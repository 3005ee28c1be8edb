//! `read-api`: serves customers' recent orders.

use std::process::ExitCode;

use clap::Parser;
use read_api::Config;
use service_kit::arguments;
use service_kit::config::Vars;
use service_kit::process::{self, Report};
use service_kit::shutdown;

// mimalloc: a list consists of many small strings, which it allocates faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves customers' orders over HTTP. Environment variables configure it; deploy/README.md lists them.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {}

fn main() -> ExitCode {
    let Cli {} = arguments::parse();
    process::run(Report::Log, |vars| run(vars).map(|()| ExitCode::SUCCESS))
}

#[actix_web::main]
async fn run(vars: &Vars) -> anyhow::Result<()> {
    let config = Config::from_vars(vars)?;
    let stop = shutdown::on_signal()?;
    // Tasks that end because the process cannot start have not died.
    let server = read_api::bind(&config, stop.clone()).inspect_err(|_| stop.cancel())?;
    Ok(server.run().await?)
}
