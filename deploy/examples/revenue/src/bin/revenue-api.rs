//! `revenue-api`: serves revenue by month, and orders by SKU.

use std::process::ExitCode;

use revenue::api::{self, Config};
use service_kit::config::Vars;
use service_kit::process::{self, Report};
use service_kit::shutdown;

fn main() -> ExitCode {
    process::run(Report::Log, |vars| run(vars).map(|()| ExitCode::SUCCESS))
}

#[actix_web::main]
async fn run(vars: &Vars) -> anyhow::Result<()> {
    let config = Config::from_vars(vars)?;
    let server = api::bind(&config, shutdown::on_signal()?)?;
    Ok(server.run().await?)
}
