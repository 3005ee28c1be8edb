//! `bench`: the real binaries under load, each figure beside what PostgreSQL does by itself in the same run.

mod machine;
mod outbox;
mod own_database;
mod pgbench;
mod plan;
mod program;
mod report;
mod rows;
mod scenario;
mod stage;
mod steady;
mod usage;
mod wrk;

use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use testkit::services::ServiceBinaries;
use tokio::signal::unix::{SignalKind, signal};

use crate::plan::Plan;
use crate::report::Figure;
use crate::scenario::Scenario;
use crate::stage::{Stage, both};

/// Measures the services beside PostgreSQL and prints a table. The exit status is 3 if a target was not met, 4 if no
/// target was judged because of what was measured (a debug build, or a server that may lose data), and 1 if something
/// failed: then there is no figure of it.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// What to measure: `write`, `drain`, `read`, `latency`, `poison`, `locked`, `bloat`, `mixed`, `scale` or `all`.
    scenario: Selection,
    /// How long one measurement takes; those of `latency` take 6 times as long, and those of `mixed` up to 30 times.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// How often a measurement is repeated; those of `scale` half as often, and those of `mixed` not at all.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Use the server of this database rather than a private one, with a new database that is removed again; the
    /// services' roles stay. The user must be able to create databases and roles, to SET ROLE to them, to CHECKPOINT,
    /// and to read all settings; `latency`, `poison` and `locked` need `track_commit_timestamp`.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// A hundredth of the rows and none of the longer times, to see that everything works: the figures mean nothing,
    /// and are not judged, which is no error here.
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

/// The exit status where everything worked, and a target was not met. (clap's own, for wrong arguments, is 2.)
const TARGET_MISSED: u8 = 3;

/// The exit status where targets should have been judged, and could not.
const NOT_JUDGED: u8 = 4;

// Children are bound to the thread that starts them: the main one, which lives as long as the process.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    // What an earlier run has written must not be taken for the result of this one.
    write_json(&cli, &[])?;
    let binaries = ServiceBinaries::build().await?;
    // From here on there is something to clear up.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stage = Stage::start(binaries, cli.database_url.as_deref()).await?;
    let done = tokio::select! {
        done = measure(&stage, &cli) => done,
        _ = interrupt.recv() => Err(anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow!("terminated")),
    };
    both(done, stage.end().await)
}

fn exit_code(figures: &[Figure], could_not_judge: bool) -> ExitCode {
    if could_not_judge {
        return ExitCode::from(NOT_JUDGED);
    }
    let are_met = figures.iter().all(|figure| figure.met() != Some(false));
    if are_met { ExitCode::SUCCESS } else { ExitCode::from(TARGET_MISSED) }
}

async fn measure(stage: &Stage, cli: &Cli) -> Result<ExitCode> {
    let plan = Plan {
        time: Duration::from_secs(cli.seconds),
        rounds: cli.rounds,
        shrink: if cli.quick { 100 } else { 1 },
    };
    for scenario in &cli.scenario.0 {
        scenario.check(stage).await?;
    }
    // Not by `println!` or `eprintln!`, which panic when nobody reads on: then nothing would be cleared up.
    writeln!(stdout(), "{}\n", machine::describe(stage, plan).await?)?;
    let is_judged = !cli.quick && !cfg!(debug_assertions) && machine::is_durable(stage).await?;
    if !is_judged {
        let reason = "A quick run, a debug build or a server that may lose data: these figures mean nothing.";
        writeln!(stdout(), "{reason}\n")?;
    }
    write!(stdout(), "{}", report::TABLE_HEAD)?;
    let mut figures = Vec::new();
    for scenario in &cli.scenario.0 {
        writeln!(stderr(), "{} …", scenario.name())?;
        stage.empty().await?;
        let mut measured = scenario.measure(stage, plan).await.with_context(|| scenario.name())?;
        if !is_judged {
            for figure in &mut measured {
                figure.target = None;
            }
        }
        // At once: the next one may take half an hour, and fail.
        write!(stdout(), "{}", report::table_rows(&measured))?;
        figures.extend(measured);
        write_json(cli, &figures)?;
    }
    Ok(exit_code(&figures, !is_judged && !cli.quick))
}

fn write_json(cli: &Cli, figures: &[Figure]) -> Result<()> {
    let Some(file) = &cli.json else { return Ok(()) };
    std::fs::write(file, report::json(figures)?).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Target;

    #[test]
    fn one_target_that_was_missed_or_could_not_be_judged_makes_the_exit_status() {
        let figure = |ours| Figure::new("p99", "ms", vec![ours]).with(Target::AtMost(5.0));
        let orientation = Figure::new("p50", "ms", vec![9.0]);
        assert_eq!(exit_code(&[figure(4.0), orientation.clone()], false), ExitCode::SUCCESS);
        assert_eq!(
            exit_code(&[figure(6.0), orientation.clone(), figure(4.0)], false),
            ExitCode::from(TARGET_MISSED)
        );
        assert_eq!(exit_code(&[orientation], true), ExitCode::from(NOT_JUDGED));
    }
}
