//! `read-api`: serves customers' recent orders.

use read_api::Config;
use service_kit::{config, shutdown, telemetry};

// mimalloc: a list consists of many small strings, which it allocates faster than the system's allocator.
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
