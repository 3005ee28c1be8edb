//! `revenue-api`: serves revenue by month, and orders by SKU.

use revenue::api::{self, Config};
use service_kit::config::{self, Vars};
use service_kit::{shutdown, telemetry};

fn main() -> anyhow::Result<()> {
    let vars = config::vars_of_process();
    let _flush = telemetry::init(&vars)?;
    run(&vars)
}

#[actix_web::main]
async fn run(vars: &Vars) -> anyhow::Result<()> {
    let config = Config::from_vars(vars)?;
    let server = api::bind(&config, shutdown::on_signal()?)?;
    Ok(server.run().await?)
}
