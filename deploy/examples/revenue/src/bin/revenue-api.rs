//! `revenue-api`: serves revenue by month, and orders by SKU.

use revenue::api::{self, Config};
use service_kit::{config, shutdown, telemetry};

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let vars = config::vars_of_process();
    telemetry::init(&vars)?;
    let config = Config::from_vars(&vars)?;
    let server = api::bind(&config, shutdown::on_signal()?)?;
    Ok(server.run().await?)
}
