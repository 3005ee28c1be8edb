//! `cargo run -p local`: the whole system and a demonstration.

mod callers;
mod demonstration;
mod hints;
mod ports;
mod revenue;
mod system;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use secrecy::ExposeSecret;
use service_kit::config::{ConfigError, vars_of_process};
use service_kit::database;
use tokio_util::sync::CancellationToken;

use self::callers::Callers;
use self::demonstration::Parts;
use self::ports::Ports;
use self::revenue::Revenue;
use self::system::System;
use testkit::database::Database;
use testkit::postgres::{ServerOptions, Tuning};
use testkit::services::{ServiceBinaries, ServiceKind};
use testkit::tokens::Role;

/// The options of the launcher.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
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
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Add the example of a read model of your own, deploy/examples/revenue.
    ///
    /// Its projector runs in place of the projector, and its read service at port 8084, or at a free port if that is in
    /// use.
    #[arg(long)]
    examples: bool,
    /// Require an access token for every call: the services run with AUTH=jwt.
    ///
    /// Makes a key, and prints a token for each role. The tokens are valid for twelve hours, and for this run only.
    /// Without it, the services run with AUTH=off.
    #[arg(long)]
    auth: bool,
    /// Do not build; start the binaries beside this one.
    #[arg(long)]
    no_build: bool,
    /// Refused: every user of the machine can read arguments.
    #[arg(long, hide = true)]
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
    let (mut system, mut database, callers) = launched?;
    if !once {
        hints::print(&system, &database, &callers)?;
        if let Some(death) = stop.run_until_cancelled(wait_for_a_death(&mut system, &mut database)).await {
            return death;
        }
    }
    system.stop()
}

async fn launch(options: Options) -> Result<(System, Database, Callers)> {
    let existing = existing_server(&options)?;
    let ports = Ports::check(options.write_port, options.read_port, options.feed_port, options.admin_port)?;
    let kinds: &[_] = if options.examples { &ServiceKind::WITH_EXAMPLES } else { &ServiceKind::ALL };
    let binaries = binaries(options.no_build, kinds).await?;
    let database = database(existing, options.data_dir, options.examples).await?;
    let callers = if options.auth { Callers::with_tokens(database.scratch_dir())? } else { Callers::Anyone };
    let system = match System::start(kinds, &binaries, &database, &ports, &callers.variables()).await {
        Ok(system) => system,
        Err(error) => return Err(database.diagnose(error).await),
    };
    let revenue = match system.url(ServiceKind::RevenueApi) {
        "" => None,
        url => Some(Revenue::before_the_demonstration(callers.client(Role::Revenue)?, url).await?),
    };
    demonstration::run(Parts {
        write_url: system.url(ServiceKind::WriteApi),
        read_url: system.url(ServiceKind::ReadApi),
        projector_url: system.feed_url(),
        callers: &callers,
        operator: system.operator(&binaries, &database)?,
    })
    .await?;
    if let Some(revenue) = revenue {
        revenue.show().await?;
    }
    Ok((system, database, callers))
}

/// The URL of the server to use instead of a private one.
fn existing_server(options: &Options) -> Result<Option<String>> {
    if options.database_url.is_some() {
        return Err(ConfigError::as_argument("--database-url", "DATABASE_URL").into());
    }
    let vars = vars_of_process();
    if !database::is_url_set(&vars)? {
        return Ok(None);
    }
    ensure!(options.data_dir.is_none(), "--data-dir is for a private server: unset DATABASE_URL");
    Ok(Some(database::url_of(&vars)?.expose_secret().to_owned()))
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

/// Unlike `println!`, returns an error if standard output is closed.
fn print_line(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}
