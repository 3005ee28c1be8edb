//! What the launcher prints once everything runs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::services::{ServiceBinaries, ServiceKind, launcher_on_free_ports};

#[tokio::test]
async fn commands_of_the_projector_work_after_the_printed_exports() -> Result<()> {
    let projector = ServiceBinaries::built().await?.program(ServiceKind::Projector);
    let temp_dir = tempfile::tempdir()?;
    fs::set_permissions(temp_dir.path(), fs::Permissions::from_mode(0o711))?;
    let mut command = launcher_on_free_ports(env!("CARGO_BIN_EXE_local"));
    let mut launcher = command.env("TMPDIR", temp_dir.path()).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(launcher.stdout.take().context("no output")?).lines().map_while(Result::ok);
    let printed: Vec<_> = lines.take_while(|line| !line.contains("Ctrl-C stops everything")).collect();
    let exports: Vec<_> =
        printed.iter().map(|line| line.trim()).filter(|line| line.starts_with("export ")).collect();
    let add =
        format!("{}\n{} webhooks add --url http://127.0.0.1:1/", exports.join("\n"), projector.display());
    let added = Command::new("sh").args(["-ec", &add]).env_remove("DATABASE_URL").output()?;
    kill(Pid::from_raw(launcher.id().try_into()?), Signal::SIGTERM)?;
    launcher.wait()?;
    assert!(added.status.success() && exports.len() == 2, "{added:?} after {exports:?}");
    Ok(())
}
