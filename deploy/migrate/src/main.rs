//! `migrate up | down | status | doctor`: deployments run it before they start a new version.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use migrate::{Addition, MigrateError, Report, Step};
use secrecy::ExposeSecret;
use service_kit::config::{ConfigError, Vars};
use service_kit::{arguments, database, process};

/// Applies or reverts the migrations of this build, or migrations of your own.
///
/// `DATABASE_URL`, or the file that `DATABASE_URL_FILE` names, has the URL of the database, with a role that owns the
/// tables and may create roles.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Refused: every user of the machine can read arguments.
    #[arg(long, hide = true)]
    database_url: Option<String>,
    /// Instead of the migrations of this build, those in this folder. They run after those of this build.
    #[arg(long, value_name = "DIR", requires = "schema")]
    folder: Option<PathBuf>,
    /// The schema of the migrations in that folder, which has a history of its own. It is created if it does not exist.
    #[arg(long, value_name = "NAME", requires = "folder")]
    schema: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Clone, Copy)]
enum Command {
    /// Apply all pending migrations (the default).
    Up,
    /// Revert the newest migrations.
    Down {
        /// Number of migrations to revert.
        #[arg(long, default_value_t = 1)]
        steps: usize,
    },
    /// List pending migrations, and exit with status 1 if there are any.
    Status,
    /// Check the database: encoding, migrations, roles and what they may do, settings, server. Changes nothing.
    ///
    /// Prints each finding with its remedy, and exits with status 1 if one is an error.
    Doctor {
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The migrations that the options name.
enum Migrations {
    Product,
    Addition(Addition),
}

impl Migrations {
    const fn is_product(&self) -> bool {
        matches!(self, Self::Product)
    }

    async fn up(&self, url: &str) -> Result<Vec<Step>, MigrateError> {
        match self {
            Self::Product => migrate::up(url).await,
            Self::Addition(addition) => addition.up(url).await,
        }
    }

    async fn down(&self, url: &str, steps: usize) -> Result<Vec<Step>, MigrateError> {
        match self {
            Self::Product => migrate::down(url, steps).await,
            Self::Addition(addition) => addition.down(url, steps).await,
        }
    }

    async fn pending(&self, url: &str) -> Result<Vec<String>, MigrateError> {
        match self {
            Self::Product => migrate::pending(url).await,
            Self::Addition(addition) => addition.pending(url).await,
        }
    }
}

fn main() -> ExitCode {
    let cli: Cli = arguments::parse();
    let report = match cli.command {
        Some(Command::Doctor { .. }) => process::Report::Terminal,
        _ => process::Report::Log,
    };
    process::run(report, |vars| run(cli, vars))
}

#[tokio::main(flavor = "current_thread")]
async fn run(cli: Cli, vars: &Vars) -> anyhow::Result<ExitCode> {
    let Cli { database_url, folder, schema, command } = cli;
    if database_url.is_some() {
        return Err(ConfigError::as_argument("--database-url", "DATABASE_URL").into());
    }
    let url = database::url_of(vars)?;
    let url = url.expose_secret();
    let migrations = match folder.zip(schema) {
        Some((folder, schema)) => Migrations::Addition(Addition::new(&schema, &folder)?),
        None => Migrations::Product,
    };
    match command.unwrap_or(Command::Up) {
        Command::Up => report("applied", &migrations.up(url).await?, "nothing to apply"),
        Command::Down { steps } => {
            report("reverted", &migrations.down(url, steps).await?, "nothing to revert");
        }
        Command::Status => {
            let pending = migrations.pending(url).await?;
            anyhow::ensure!(pending.is_empty(), "pending: {}", pending.join(", "));
            tracing::info!("no migration is pending");
        }
        Command::Doctor { json } => {
            anyhow::ensure!(migrations.is_product(), "doctor is without --folder and --schema");
            let report = migrate::doctor(url).await?;
            print_report(&report, json)?;
            if report.has_errors() {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_report(report: &Report, as_json: bool) -> anyhow::Result<()> {
    let text = if as_json { serde_json::to_string_pretty(report)? } else { report.to_string() };
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

fn report(what: &str, steps: &[Step], if_none: &str) {
    for step in steps {
        let duration_ms = u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(migration.name = step.name, duration_ms, "migration {what}");
    }
    if steps.is_empty() {
        tracing::info!("{if_none}");
    }
}
