//! Describes the machine, the programs and the settings.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testkit::postgres::Binaries;

use crate::pgbench;
use crate::plan::Plan;
use crate::stage::Stage;
use crate::wrk;

/// The settings of PostgreSQL on which the figures depend.
const SETTINGS: [&str; 9] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "autovacuum",
    "track_commit_timestamp",
];

/// Machine, programs and settings, one per line.
///
/// # Errors
///
/// If a program is missing.
pub(crate) async fn describe(stage: &Stage, plan: Plan) -> Result<String> {
    let pgbench = Binaries::find()?.program("pgbench").display().to_string();
    let mut lines = vec![
        format!("machine: {} × {}, {}", cores(), processor(), memory()),
        format!("system: {}, data on {}", first_line("uname", &["-sr"])?, file_system(stage).await?),
        format!("build: {}, {}, {}", build(), first_line("rustc", &["--version"])?, commit()),
        format!("PostgreSQL {}", stage.setting("server_version").await?),
        format!("{}, with {}", first_line(&pgbench, &["--version"])?, pgbench::settings()),
        format!("{}; threads: {}", wrk_version()?, wrk::THREADS),
        "services: one process each, with the default settings (deploy/README.md), except the number of workers"
            .to_owned(),
        format!("measured: {} × {} s{}", plan.rounds, plan.seconds(), exceptions(plan)),
    ];
    let mut settings = Vec::new();
    for name in SETTINGS {
        settings.push(format!("{name} {}", stage.setting(name).await?));
    }
    lines.push(format!("settings: {}", settings.join(", ")));
    Ok(lines.join("\n"))
}

fn exceptions(plan: Plan) -> &'static str {
    if plan.shrink > 1 {
        ", of a part of the rows"
    } else {
        "; latency 6 times and listeners twice as long, scale half as often, catch-up and mixed once, \
         mixed up to 30 times as long"
    }
}

/// Whether acknowledged commits survive a power failure, according to the settings.
pub(crate) async fn is_durable(stage: &Stage) -> Result<bool> {
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        if stage.setting(name).await? != "on" {
            return Ok(false);
        }
    }
    // Of one role or database, which this session does not see.
    let spared = "SELECT FROM pg_db_role_setting, unnest(setconfig) AS setting
                  WHERE setting LIKE 'synchronous_commit=%' AND setting <> 'synchronous_commit=on' LIMIT 1";
    Ok(stage.session.query_opt(spared, &[]).await?.is_none() && file_system(stage).await? != "tmpfs")
}

/// Of the server's data, if they are on this machine.
async fn file_system(stage: &Stage) -> Result<String> {
    let directory = stage.setting("data_directory").await?;
    if fs::exists(&directory)? {
        first_line("stat", &["--file-system", "--format=%T", &directory])
    } else {
        Ok("another machine".to_owned())
    }
}

/// wrk prints its version with its usage, with an error status.
fn wrk_version() -> Result<String> {
    first_line("wrk", &["-v"]).context("Debian's package `wrk` has it")
}

fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn processor() -> String {
    value_in("/proc/cpuinfo", "model name")
}

fn memory() -> String {
    let kb: u64 = value_in("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    format!("{} GB of memory", kb / 1_000_000)
}

/// The commit, and whether the tree differs from it.
fn commit() -> String {
    let commit = first_line("git", &["describe", "--always", "--dirty", "--abbrev=12"]);
    format!("commit {}", commit.unwrap_or_else(|_no_repository| "unknown".to_owned()))
}

fn value_in(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.split_once(':')).map(|(_, value)| value.trim().to_owned());
    value.unwrap_or_else(|| "unknown".to_owned())
}

fn first_line(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.with_context(|| format!("{program} cannot be run"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default().trim();
    ensure!(!line.is_empty() && !line.starts_with("fatal:"), "{program} printed: {line}");
    Ok(line.to_owned())
}
