//! `write-api`: accepts orders over HTTP, and republishes them.

use std::process::ExitCode;

use service_kit::config::Vars;
use service_kit::{arguments, process};
use write_api::cli::{self, Cli};

/// An order consists of many small strings, which mimalloc allocates with less CPU time than the system allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli: Cli = arguments::parse();
    process::run(cli.report(), |vars| run(cli, vars).map(|()| ExitCode::SUCCESS))
}

#[actix_web::main]
async fn run(cli: Cli, vars: &Vars) -> anyhow::Result<()> {
    cli::run(cli, vars).await
}
