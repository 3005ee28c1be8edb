//! `cargo run -p local`: the whole system and a demonstration.

mod demonstration;
mod ports;
mod revenue;
mod system;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio_util::sync::CancellationToken;

use self::demonstration::Parts;
use self::ports::Ports;
use self::revenue::Revenue;
use self::system::System;
use testkit::database::Database;
use testkit::postgres::{ServerOptions, Tuning};
use testkit::services::{ServiceBinaries, ServiceKind};

/// The options of the launcher.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Port of write-api [default: 8081, or a free port if that is in use].
    #[arg(long, value_name = "PORT")]
    write_port: Option<u16>,
    /// Port of read-api [default: 8082, or a free port if that is in use].
    #[arg(long, value_name = "PORT")]
    read_port: Option<u16>,
    /// Port of the projector's feed [default: 8083, or a free port if that is in use].
    #[arg(long, value_name = "PORT")]
    feed_port: Option<u16>,
    /// Port of the projector's probes and metrics [default: 9083, or a free port if that is in use].
    ///
    /// write-api serves its probes and metrics at 9081 and read-api at 9082, or at a free port if that is in use.
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// Exit after the demonstration. The exit status is not 0 if it failed.
    #[arg(long)]
    once: bool,
    /// Keep the data of the private PostgreSQL in this directory for the next start.
    ///
    /// Without it, the data is removed at the end. The logs are removed in any case.
    #[arg(long, value_name = "DIR", conflicts_with = "database_url")]
    data_dir: Option<PathBuf>,
    /// Add the example of a read model of your own, deploy/examples/revenue.
    ///
    /// Its projector runs in place of the projector, and its read service at port 8084, or at a free port if that is in
    /// use.
    #[arg(long)]
    examples: bool,
    /// Do not build; start the binaries beside this one.
    #[arg(long)]
    no_build: bool,
    /// Use this server instead of a private one.
    ///
    /// Its user applies the migrations, and must be able to SET ROLE to the roles of the services. The orders of the
    /// demonstration stay there.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
}

/// Starts everything and runs the demonstration. With `once` it then stops; otherwise it runs until `stop` is
/// cancelled. Services finish requests in flight. `stop` also works during the start.
///
/// # Errors
///
/// The first failure, after everything that was started has stopped.
pub async fn run(options: Options, stop: CancellationToken) -> Result<()> {
    let once = options.once;
    let Some(launched) = stop.run_until_cancelled(launch(options)).await else { return Ok(()) };
    let (mut system, mut database) = launched?;
    if !once {
        print_hints(&system, &database)?;
        if let Some(death) = stop.run_until_cancelled(wait_for_a_death(&mut system, &mut database)).await {
            return death;
        }
    }
    system.stop()
}

async fn launch(options: Options) -> Result<(System, Database)> {
    let ports = Ports::check(options.write_port, options.read_port, options.feed_port, options.admin_port)?;
    let kinds: &[_] = if options.examples { &ServiceKind::WITH_EXAMPLES } else { &ServiceKind::ALL };
    let binaries = binaries(options.no_build, kinds).await?;
    let database = database(options.database_url, options.data_dir, options.examples).await?;
    let system = System::start(kinds, &binaries, &database, &ports).await?;
    let revenue = match system.url(ServiceKind::RevenueApi) {
        "" => None,
        url => Some(Revenue::before_the_demonstration(url).await?),
    };
    demonstration::run(Parts {
        write_url: system.url(ServiceKind::WriteApi),
        read_url: system.url(ServiceKind::ReadApi),
        projector_url: system.feed_url(),
        operator: system.operator(&binaries, &database)?,
    })
    .await?;
    if let Some(revenue) = revenue {
        revenue.show().await?;
    }
    Ok((system, database))
}

/// Returns an error when PostgreSQL or a service ends.
async fn wait_for_a_death(system: &mut System, database: &mut Database) -> Result<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        ensure!(database.is_running(), "PostgreSQL has ended");
        system.check_running()?;
    }
}

async fn binaries(no_build: bool, kinds: &[ServiceKind]) -> Result<ServiceBinaries> {
    if no_build {
        return Ok(ServiceBinaries::beside_this_program(kinds)?);
    }
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    print_line(&format!("building {} …", names.join(", ")))?;
    let start = Instant::now();
    let binaries = ServiceBinaries::build_all(kinds).await?;
    print_line(&format!("built in {:.1} s", start.elapsed().as_secs_f64()))?;
    Ok(binaries)
}

async fn database(
    existing: Option<String>,
    data_dir: Option<PathBuf>,
    with_examples: bool,
) -> Result<Database> {
    let start = Instant::now();
    let database = match existing {
        Some(url) => Database::existing(url).await?,
        None => Database::private(&ServerOptions { tuning: Tuning::Durable, data_dir }).await?,
    };
    let database = if with_examples { database.with_examples().await? } else { database };
    if let Some(server) = database.private_server() {
        print_line(&format!(
            "PostgreSQL  ready in {:.1} s, private, in {}",
            start.elapsed().as_secs_f64(),
            server.socket_dir().display()
        ))?;
    }
    print_line(&format!("migrations  {} applied", database.migrations()))?;
    Ok(database)
}

fn print_hints(system: &System, database: &Database) -> Result<()> {
    let (write, read) = (system.url(ServiceKind::WriteApi), system.url(ServiceKind::ReadApi));
    let feed = system.feed_url();
    let customer = demonstration::CUSTOMER;
    let revenue = match system.url(ServiceKind::RevenueApi) {
        "" => String::new(),
        url => format!(
            "See the example's read model:\n  curl '{url}/revenue?by=month'\n  curl '{url}/orders-by-sku'\n"
        ),
    };
    print_line(&format!(
        "
Place an order:
  curl -i {write}/orders -H 'content-type: application/json' \\
    -d '{{\"customer_id\": \"{customer}\", \
\"items\": [{{\"sku\": \"TEA-EARL-GREY\", \"quantity\": 2, \"price_cents\": 450}}]}}'
See the order:
  curl -i '{read}/customers/{customer}/orders?limit=20'
  or in a browser: {read}/#customer={customer}
Wait for its events:
  curl -i '{feed}/events?after=now' -H 'prefer: wait=30'
Read and try the APIs in a browser:
  {write}/docs, {read}/docs and {feed}/docs
{revenue}Check readiness and metrics:
  curl -i {read_admin}/readyz
  curl {projector_admin}/metrics
Run commands of the projector, in another terminal:
  {export}
  export WEBHOOK_ALLOW_PRIVATE=true
  cargo run -p projector -- webhooks list
Open the database and follow the logs, which are removed at the end:
  {psql}
  tail -f {logs}/*.log

Ctrl-C stops everything.",
        read_admin = system.admin_url(ServiceKind::ReadApi),
        projector_admin = system.projector_admin_url(),
        export = database.export(ServiceKind::Projector.role()),
        psql = database.psql(),
        logs = database.log_dir().display(),
    ))
}

/// Unlike `println!`, returns an error if standard output is closed.
fn print_line(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}
