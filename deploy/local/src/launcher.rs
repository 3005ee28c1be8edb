//! `cargo run -p local`: the whole system, and a demonstration.

mod database;
mod demonstration;
mod ports;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use self::database::Database;
use self::ports::Ports;
use crate::services::{Service, ServiceBinaries, ServiceKind};

/// What the launcher can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Port of write-api; 8081, or a free one where that is taken.
    #[arg(long, value_name = "PORT")]
    write_port: Option<u16>,
    /// Port of read-api; 8082, or a free one where that is taken.
    #[arg(long, value_name = "PORT")]
    read_port: Option<u16>,
    /// Port of the projector's probes; 8083, or a free one where that is taken.
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// Exit after the demonstration, with a status other than 0 where it failed.
    #[arg(long)]
    once: bool,
    /// Keep the data of the private PostgreSQL here, and find it again at the next start.
    #[arg(long, value_name = "DIR", conflicts_with = "database_url")]
    data_dir: Option<PathBuf>,
    /// Do not build: start the binaries that lie beside this one.
    #[arg(long)]
    no_build: bool,
    /// Use this server rather than a private one. Its user migrates, and must be able to SET ROLE to the process roles.
    /// The demonstration leaves its orders there.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
}

/// Starts everything, shows that it works, and returns: at once with `--once`, else when a service ends by itself, which
/// is an error. Dropping the future stops everything that it started.
///
/// # Errors
///
/// Whatever kept the system from working, after everything that was started has been stopped.
pub async fn run(options: Options) -> Result<()> {
    let ports = Ports::choose(options.write_port, options.read_port, options.admin_port)?;
    let binaries = binaries(options.no_build).await?;
    let database = Database::start(options.database_url, options.data_dir).await?;
    let mut system = System::start(&binaries, &database, &ports).await?;
    demonstration::run(&system.url(ServiceKind::WriteApi), &system.url(ServiceKind::ReadApi)).await?;
    if options.once {
        return system.stop();
    }
    print_hints(&system, &database)?;
    system.wait_for_a_death().await
}

async fn binaries(no_build: bool) -> Result<ServiceBinaries> {
    if no_build {
        return Ok(ServiceBinaries::beside_this_program()?);
    }
    say("building write-api, projector and read-api …")?;
    let start = Instant::now();
    let binaries = ServiceBinaries::build().await?;
    say(&format!("built in {:.1} s", start.elapsed().as_secs_f64()))?;
    Ok(binaries)
}

/// The three services. They are dropped, and so ended, before the database that they use.
struct System {
    services: Vec<Service>,
}

impl System {
    async fn start(binaries: &ServiceBinaries, database: &Database, ports: &Ports) -> Result<Self> {
        let mut system = Self { services: Vec::new() };
        for kind in ServiceKind::ALL {
            let url = database.url_for(kind.role())?;
            system.services.push(Service::start(
                kind,
                &binaries.program(kind),
                &url,
                ports.of(kind),
                database.log_dir(),
            )?);
        }
        for service in &mut system.services {
            service.wait_until_ready().await?;
            say(&format!("{:<9}  {}", service.kind().name(), service.url()))?;
        }
        Ok(system)
    }

    fn url(&self, kind: ServiceKind) -> String {
        self.services.iter().find(|service| service.kind() == kind).map(Service::url).unwrap_or_default()
    }

    fn stop(self) -> Result<()> {
        for service in self.services {
            let name = service.kind().name();
            let status = service.stop()?;
            anyhow::ensure!(status.success(), "{name} ended with {status}");
        }
        Ok(())
    }

    async fn wait_for_a_death(&mut self) -> Result<()> {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            for service in &mut self.services {
                anyhow::ensure!(service.is_running(), "{} has ended", service.kind().name());
            }
        }
    }
}

fn print_hints(system: &System, database: &Database) -> Result<()> {
    let (write, read) = (system.url(ServiceKind::WriteApi), system.url(ServiceKind::ReadApi));
    let customer = demonstration::CUSTOMER;
    say(&format!(
        "
Place an order:
  curl -i {write}/orders -H 'content-type: application/json' \\
    -d '{{\"customer_id\": \"{customer}\", \"items\": [{{\"sku\": \"TEA-EARL-GREY\", \"quantity\": 2, \"price_cents\": 450}}]}}'
See it:
  curl -i '{read}/customers/{customer}/orders?limit=20'
Look into the database, and at the logs:
  {psql}
  tail -f {logs}/*.log

Ctrl-C stops everything.",
        psql = database.psql(),
        logs = database.log_dir().display(),
    ))
}

/// A closed standard output is an error like any other, not a panic.
fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}
