//! `projector`: drains the outbox into the read models.

use projector::{Config, Projector};
use runtime::{config, shutdown, telemetry};

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let vars = config::vars_of_process();
    telemetry::init(&vars)?;
    let config = Config::from_vars(&vars)?;
    let projector = Projector::start(&config, projector::projections(), shutdown::on_signal()?)?;
    Ok(projector.run().await?)
}
