//! `write-api`: accepts orders over HTTP, and republishes them.

use clap::Parser;
use service_kit::config::{self, Vars};
use service_kit::telemetry;
use write_api::cli::{self, Cli};

/// An order consists of many small strings, which mimalloc allocates with less CPU time than the system allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let vars = config::vars_of_process();
    let _flush = telemetry::init(&vars)?;
    run(cli, &vars)
}

#[actix_web::main]
async fn run(cli: Cli, vars: &Vars) -> anyhow::Result<()> {
    cli::run(cli, vars).await
}
