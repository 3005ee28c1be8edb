//! `read-api`: answers "recent orders by customer".

use read_api::Config;
use service_kit::{config, shutdown, telemetry};

/// A list is a hundred small strings: with it a fifth more of them were answered.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let vars = config::vars_of_process();
    telemetry::init(&vars)?;
    let config = Config::from_vars(&vars)?;
    let server = read_api::bind(&config, shutdown::on_signal()?)?;
    Ok(server.run().await?)
}
