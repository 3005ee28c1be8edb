//! `read-api`: serves customers' recent orders.

use std::process::ExitCode;

use read_api::Config;
use service_kit::config::Vars;
use service_kit::process::{self, Report};
use service_kit::shutdown;

// mimalloc: a list consists of many small strings, which it allocates faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    process::run(Report::Log, |vars| run(vars).map(|()| ExitCode::SUCCESS))
}

#[actix_web::main]
async fn run(vars: &Vars) -> anyhow::Result<()> {
    let config = Config::from_vars(vars)?;
    let server = read_api::bind(&config, shutdown::on_signal()?)?;
    Ok(server.run().await?)
}
