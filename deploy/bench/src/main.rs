//! `bench`: measures the real services under load, and PostgreSQL alone (with pgbench) in the same run for comparison.

mod arrivals;
mod callers;
mod endpoints;
mod machine;
mod options;
mod outbox;
mod own_database;
mod pgbench;
mod plan;
mod program;
mod receiver;
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

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use service_kit::arguments;
use testkit::services::{ServiceBinaries, ServiceKind};
use tokio::signal::unix::{SignalKind, signal};

use crate::options::Listeners;
use crate::plan::Plan;
use crate::report::Figure;
use crate::scenario::Scenario;
use crate::stage::{Stage, both};

/// Measures the services, compares them with PostgreSQL alone, and prints a table.
///
/// Exit status: 0 if all targets are met; 1 if a measurement failed; 3 if a target is missed; 4 if targets cannot be
/// judged (a debug build, or a server that may lose data).
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Scenarios, each once, in this order: `write`, `drain`, `event-log`, `read`, `auth`, `shares`, `logs`, `traces`,
    /// `latency`, `poison`, `locked`, `listeners`, `webhook`, `feed`, `catch-up`, `bloat`, `mixed`, `scale`, `size`
    /// or `all`.
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<Selection>,
    /// Duration of one measurement; `latency` takes 6 times as long, `mixed` up to 30 times.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Number of measurements; `scale` takes half as many, `mixed` and `catch-up` one.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Also write the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Use the server of the URL in this file instead of a private one.
    ///
    /// The measurements use a new database, which is removed at the end; the services' roles stay. The user must be
    /// able to create databases and roles, to SET ROLE to them, to CHECKPOINT, and to read all settings. `latency`,
    /// `poison`, `locked`, `listeners`, `webhook` and `feed` need `track_commit_timestamp`.
    #[arg(long, value_name = "FILE")]
    database_url_file: Option<PathBuf>,
    /// Refused: every user of the machine can read arguments.
    #[arg(long, hide = true)]
    database_url: Option<String>,
    /// Only check that everything works, with a hundredth of the rows and short times. The figures mean nothing and are
    /// not judged.
    #[arg(long)]
    quick: bool,
    /// `auth`, `logs`: also compare with services of an earlier commit, whose release binaries are in this directory.
    #[arg(long, value_name = "DIR")]
    earlier: Option<PathBuf>,
    #[command(flatten)]
    listeners: Listeners,
}

/// One scenario, or all.
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

/// Exit status if a target is missed. (clap uses 2 for wrong arguments.)
const TARGET_MISSED: u8 = 3;

/// Exit status if targets cannot be judged.
const NOT_JUDGED: u8 = 4;

/// `listeners` and `catch-up` need a projector with a read model that is a subscription.
const BINARIES: [ServiceKind; 4] =
    [ServiceKind::WriteApi, ServiceKind::Projector, ServiceKind::ReadApi, ServiceKind::RevenueProjector];

/// Those that are compared with an earlier commit.
const EARLIER: [ServiceKind; 2] = [ServiceKind::WriteApi, ServiceKind::ReadApi];

// Children are bound to the thread that starts them: the main thread, which lives as long as the process.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<ExitCode> {
    let cli: Cli = arguments::parse();
    let url = existing_server(&cli)?;
    // The result of an earlier run must not be mistaken for this one.
    write_json(&cli, &[])?;
    let binaries = ServiceBinaries::build_all(&BINARIES).await?;
    let earlier = cli.earlier.clone().map(|dir| ServiceBinaries::in_dir(dir, &EARLIER)).transpose()?;
    // From here on, an interrupt must clean up.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stage = Stage::start(binaries, url.as_deref()).await?.with_earlier(earlier);
    let done = tokio::select! {
        done = measure(&stage, &cli) => done,
        _ = interrupt.recv() => Err(anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow!("terminated")),
    };
    both(done, stage.end().await)
}

fn existing_server(cli: &Cli) -> Result<Option<String>> {
    ensure!(
        cli.database_url.is_none(),
        "--database-url is not accepted, because every user of the machine can read arguments: use --database-url-file"
    );
    let Some(file) = &cli.database_url_file else { return Ok(None) };
    let url = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(Some(url.trim_end().to_owned()))
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
        listeners: cli.listeners,
    };
    let scenarios = selected(&cli.scenarios);
    for scenario in &scenarios {
        scenario.check(stage).await?;
    }
    // Not `println!` or `eprintln!`, which panic on a closed pipe: then nothing would be cleaned up.
    writeln!(stdout(), "{}\n", machine::describe(stage, plan).await?)?;
    let is_judged = !cli.quick && !cfg!(debug_assertions) && machine::is_durable(stage).await?;
    if !is_judged {
        let reason = "A quick run, a debug build or a server that may lose data: these figures mean nothing.";
        writeln!(stdout(), "{reason}\n")?;
    }
    write!(stdout(), "{}", report::TABLE_HEAD)?;
    let mut figures = Vec::new();
    for scenario in &scenarios {
        writeln!(stderr(), "{} …", scenario.name())?;
        stage.empty().await?;
        let mut measured = scenario.measure(stage, plan).await.with_context(|| scenario.name())?;
        if !is_judged {
            for figure in &mut measured {
                figure.target = None;
            }
        }
        // Printed at once: the next scenario may take half an hour and fail.
        write!(stdout(), "{}", report::table_rows(&measured))?;
        figures.extend(measured);
        write_json(cli, &figures)?;
    }
    Ok(exit_code(&figures, !is_judged && !cli.quick))
}

/// Each once, in the order of all: some leave what a later one does not expect, such as an empty log.
fn selected(selections: &[Selection]) -> Vec<Scenario> {
    let is_selected = |scenario: &Scenario| selections.iter().any(|Selection(some)| some.contains(scenario));
    Scenario::ALL.into_iter().filter(is_selected).collect()
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
    fn scenarios_run_once_in_the_order_of_all() {
        let names = |names: &[&str]| {
            let selections: Vec<_> = names.iter().map(|name| name.parse().unwrap()).collect();
            selected(&selections).into_iter().map(Scenario::name).collect::<Vec<_>>()
        };
        for name in names(&["all"]) {
            assert_eq!(names(&[name]), [name]);
        }
        assert_eq!(names(&["all"]).len(), Scenario::ALL.len());
        assert_eq!(names(&["catch-up", "write", "listeners", "write"]), ["write", "listeners", "catch-up"]);
        assert_eq!(names(&["read", "all"]), names(&["all"]));
    }

    #[test]
    fn a_missed_or_unjudged_target_sets_the_exit_status() {
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
