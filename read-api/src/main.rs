//! `read-api`: serves customers' recent orders.

use read_api::Config;
use service_kit::config::{self, Vars};
use service_kit::{shutdown, telemetry};

// mimalloc: a list consists of many small strings, which it allocates faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let vars = config::vars_of_process();
    let _flush = telemetry::init(&vars)?;
    run(&vars)
}

#[actix_web::main]
async fn run(vars: &Vars) -> anyhow::Result<()> {
    let config = Config::from_vars(vars)?;
    let server = read_api::bind(&config, shutdown::on_signal()?)?;
    Ok(server.run().await?)
}
