//! `bench`: the real binaries under load, each figure beside what PostgreSQL does by itself in the same run.

mod machine;
mod outbox;
mod own_database;
mod pgbench;
mod plan;
mod report;
mod rows;
mod scenario;
mod stage;
mod usage;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;

use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::stage::Stage;

/// Measures the services beside PostgreSQL, prints a table, and fails if a target was not met.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// What to measure: `write`, `drain`, `read`, `latency`, `bloat`, `mixed`, `scale` or `all`.
    scenario: Selection,
    /// How long one measurement takes; those of `latency` take 6 times as long, and those of `mixed` up to 30 times.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// How often a measurement is repeated, but for those of `mixed`.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Use the server of this database rather than a private one, with a new database that is removed again. The user must be
    /// able to create databases and roles, to SET ROLE to them, and to CHECKPOINT; `latency` needs `track_commit_timestamp`.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// A hundredth of the rows and none of the longer times, to see that everything works: the figures mean nothing, and are
    /// not judged.
    #[arg(long)]
    quick: bool,
}

/// One scenario, or all of them.
#[derive(Debug, Clone)]
struct Selection(Vec<Scenario>);

impl FromStr for Selection {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "all" {
            return Ok(Self(Scenario::ALL.to_vec()));
        }
        let one = Scenario::ALL.into_iter().find(|scenario| scenario.name() == name);
        let names = || Scenario::ALL.map(Scenario::name).join(", ");
        one.map(|one| Self(vec![one])).ok_or_else(|| format!("must be one of {}, all", names()))
    }
}

/// The exit status where everything worked, and a target was not met.
const TARGET_MISSED: u8 = 2;

// Children are bound to the thread that starts them: the main one, which lives as long as the process.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let stage = Stage::start(cli.database_url.as_deref()).await?;
    let done = tokio::select! {
        done = measure(&stage, &cli) => done,
        _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
    };
    stage.end().await?;
    Ok(if done? { ExitCode::SUCCESS } else { ExitCode::from(TARGET_MISSED) })
}

/// Returns whether all targets were met.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool: results here, progress there"
)]
async fn measure(stage: &Stage, cli: &Cli) -> Result<bool> {
    let judged = !cli.quick && !cfg!(debug_assertions);
    let plan = Plan {
        time: Duration::from_secs(cli.seconds),
        rounds: cli.rounds,
        shrink: if cli.quick { 100 } else { 1 },
    };
    println!("{}\n", machine::describe(stage).await?);
    if !judged {
        println!("A quick run or a debug build: these figures mean nothing.\n");
    }
    print!("{}", report::TABLE_HEAD);
    let mut figures = Vec::new();
    for scenario in &cli.scenario.0 {
        eprintln!("{} …", scenario.name());
        stage.empty().await?;
        let mut measured = scenario.measure(stage, plan).await.with_context(|| scenario.name())?;
        if !judged {
            for figure in &mut measured {
                figure.target = None;
            }
        }
        // At once: the next one may take half an hour, and fail.
        print!("{}", report::table_rows(&measured));
        figures.extend(measured);
        if let Some(file) = &cli.json {
            std::fs::write(file, report::json(&figures)?).with_context(|| file.display().to_string())?;
        }
    }
    Ok(figures.iter().all(|figure| figure.met() != Some(false)))
}
