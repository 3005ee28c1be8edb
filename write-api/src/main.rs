//! `write-api`: takes orders over HTTP.

use runtime::{config, shutdown, telemetry};
use write_api::Config;

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let vars = config::vars_of_process();
    telemetry::init(&vars)?;
    let config = Config::from_vars(&vars)?;
    let server = write_api::bind(&config, shutdown::on_signal()?)?;
    Ok(server.run().await?)
}
