//! `projector`: drains the outbox into the read models.

use clap::Parser;
use projector::cli::{self, Cli};
use runtime::{config, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let vars = config::vars_of_process();
    telemetry::init(&vars)?;
    cli::run(cli, &vars).await
}
