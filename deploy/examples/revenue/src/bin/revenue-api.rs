//! `revenue-api`: serves revenue by month, and orders by SKU.

use clap::Parser;
use revenue::api::{self, Config};
use service_kit::config::{self, Vars};
use service_kit::{shutdown, telemetry};

/// Serves revenue over HTTP. Environment variables configure it; deploy/README.md lists them.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {}

fn main() -> anyhow::Result<()> {
    let Cli {} = Cli::parse();
    let vars = config::vars_of_process();
    let _flush = telemetry::init(&vars)?;
    run(&vars)
}

#[actix_web::main]
async fn run(vars: &Vars) -> anyhow::Result<()> {
    let config = Config::from_vars(vars)?;
    let stop = shutdown::on_signal()?;
    // Tasks that end because the process cannot start have not died.
    let server = api::bind(&config, stop.clone()).inspect_err(|_| stop.cancel())?;
    Ok(server.run().await?)
}
