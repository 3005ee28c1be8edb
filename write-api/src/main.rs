//! `write-api`: accepts orders over HTTP, and republishes them.

use clap::Parser;
use service_kit::{config, telemetry};
use write_api::cli::{self, Cli};

/// An order consists of many small strings, which mimalloc allocates with less CPU time than the system allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let vars = config::vars_of_process();
    telemetry::init(&vars)?;
    cli::run(cli, &vars).await
}
