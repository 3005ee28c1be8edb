//! On what, and with what, it was measured.

use std::fs;
use std::process::Command;

use anyhow::Result;
use local::postgres::Binaries;

use crate::stage::Stage;

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

/// Machine, programs and settings, a line each.
pub(crate) async fn describe(stage: &Stage) -> Result<String> {
    let mut lines = vec![
        format!("machine: {} × {}, {}", cores(), processor(), memory()),
        format!("system: {}", first_line("uname", &["-sr"])),
        format!("build: {}, {}", if cfg!(debug_assertions) { "debug" } else { "release" }, commit()),
        format!("PostgreSQL {}", stage.setting("server_version").await?),
        first_line(&Binaries::find()?.program("pgbench").display().to_string(), &["--version"]),
        // It tells its version together with how it is to be used, as an error.
        first_line("wrk", &["-v"]),
    ];
    let mut settings = Vec::new();
    for name in SETTINGS {
        settings.push(format!("{name} {}", stage.setting(name).await?));
    }
    lines.push(format!("settings: {}", settings.join(", ")));
    Ok(lines.join("\n"))
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
    format!("commit {}", first_line("git", &["describe", "--always", "--dirty", "--abbrev=12"]))
}

fn value_in(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.split_once(':')).map(|(_, value)| value.trim().to_owned());
    value.unwrap_or_else(|| "unknown".to_owned())
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.lines().next().map_or_else(|| format!("{program}: unknown"), |line| line.trim().to_owned())
}
