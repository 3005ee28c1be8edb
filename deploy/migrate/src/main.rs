//! `migrate up | down | status | doctor`: deployments run it before they start a new version.

mod all_cells;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, Parser, Subcommand};
use migrate::{Addition, Cell, MigrateError, Report, Step};
use secrecy::ExposeSecret;
use service_kit::config::{ConfigError, Vars};
use service_kit::{arguments, database, process};

use self::all_cells::Canary;

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
    /// Instead of the migrations of this build, those in this folder. They run after those of this build. Needs
    /// `--schema`.
    #[arg(long, global = true, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The schema of a cell, or, with `--folder`, that of your migrations. `up` creates it if it does not exist.
    ///
    /// Without this, the tables are in the schema to which `DATABASE_URL` leads.
    #[arg(long, global = true, value_name = "NAME")]
    schema: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Apply all pending migrations (the default).
    Up {
        #[command(flatten)]
        cells: Cells,
        /// With `--all-cells`: migrate one cell first, check it as `doctor` does, and go on if it has no error. Without
        /// a name it is the first cell by name.
        #[arg(
            long,
            value_name = "NAME",
            requires = "all_cells",
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = Canary::FIRST
        )]
        canary: Option<Canary>,
    },
    /// Revert the newest migrations.
    Down {
        /// Number of migrations to revert.
        #[arg(long, default_value_t = 1)]
        steps: usize,
    },
    /// List pending migrations, and exit with status 1 if there are any.
    Status(Cells),
    /// Check the database: encoding, migrations, roles and what they may do, settings, server. Changes nothing.
    ///
    /// Prints each finding with its remedy, and exits with status 1 if one is an error.
    Doctor {
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct Cells {
    /// All cells of the database, one after the other by name. Stops at the first one that fails.
    #[arg(long)]
    all_cells: bool,
}

/// The migrations that the options name.
enum Migrations {
    Product,
    Cell(Cell),
    Addition(Addition),
}

impl Migrations {
    fn new(folder: Option<PathBuf>, schema: Option<String>) -> anyhow::Result<Self> {
        Ok(match (folder, schema) {
            (Some(folder), Some(schema)) => Self::Addition(Addition::new(&schema, &folder)?),
            (Some(_), None) => anyhow::bail!("--folder needs --schema"),
            (None, Some(schema)) => Self::Cell(Cell::new(&schema)?),
            (None, None) => Self::Product,
        })
    }

    async fn up(&self, url: &str) -> Result<Vec<Step>, MigrateError> {
        match self {
            Self::Product => migrate::up(url).await,
            Self::Cell(cell) => cell.up(url).await,
            Self::Addition(addition) => addition.up(url).await,
        }
    }

    async fn down(&self, url: &str, steps: usize) -> Result<Vec<Step>, MigrateError> {
        match self {
            Self::Product => migrate::down(url, steps).await,
            Self::Cell(cell) => cell.down(url, steps).await,
            Self::Addition(addition) => addition.down(url, steps).await,
        }
    }

    async fn pending(&self, url: &str) -> Result<Vec<String>, MigrateError> {
        match self {
            Self::Product => migrate::pending(url).await,
            Self::Cell(cell) => cell.pending(url).await,
            Self::Addition(addition) => addition.pending(url).await,
        }
    }

    async fn doctor(&self, url: &str) -> anyhow::Result<Report> {
        match self {
            Self::Product => Ok(migrate::doctor(url).await?),
            Self::Cell(cell) => Ok(cell.doctor(url).await?),
            Self::Addition(_) => anyhow::bail!("doctor is without --folder"),
        }
    }

    /// `--all-cells` names the cells itself.
    fn ensure_all_cells(&self) -> anyhow::Result<()> {
        ensure!(matches!(self, Self::Product), "--all-cells is without --schema and --folder");
        Ok(())
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
    let migrations = Migrations::new(folder, schema)?;
    match command {
        Some(Command::Up { cells: Cells { all_cells: true }, canary }) => {
            migrations.ensure_all_cells()?;
            all_cells::up(url, canary.as_ref()).await?;
        }
        None | Some(Command::Up { .. }) => {
            report("applied", &migrations.up(url).await?, "nothing to apply");
        }
        Some(Command::Down { steps }) => {
            report("reverted", &migrations.down(url, steps).await?, "nothing to revert");
        }
        Some(Command::Status(Cells { all_cells: true })) => {
            migrations.ensure_all_cells()?;
            all_cells::status(url).await?;
        }
        Some(Command::Status(_)) => {
            let pending = migrations.pending(url).await?;
            ensure!(pending.is_empty(), "pending: {}", pending.join(", "));
            tracing::info!("no migration is pending");
        }
        Some(Command::Doctor { json }) => {
            let report = migrations.doctor(url).await?;
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
