//! The units of systemd, as `systemd-analyze` judges them, and as they run.

mod install;
mod machine;
mod run;

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::commands::{repository, run};
use crate::environment::PROCESSES;

/// The highest exposure that is accepted, on a scale from 0 to 10.
const EXPOSURE: f64 = 2.0;

fn unit(process: &str) -> String {
    format!("deploy/systemd/orders-{process}.service")
}

/// systemd has no way to include a file, so each unit repeats these lines.
#[test]
fn every_unit_is_hardened_alike() -> Result<()> {
    let hardening = |process: &str| -> Result<String> {
        let text = fs::read_to_string(repository().join(unit(process)))?;
        let (_, lines) = text.split_once("\nDynamicUser=yes\n").context("no hardening")?;
        Ok(lines.split("\n\n").next().unwrap_or_default().trim_end().to_owned())
    };
    let expected = hardening("migrate")?;
    ensure!(expected.lines().count() > 25, "{expected}");
    for process in PROCESSES {
        ensure!(hardening(process)? == expected, "{process} differs from migrate");
    }
    Ok(())
}

#[test]
#[ignore = "needs systemd-analyze; .ci/deploy runs it"]
fn each_unit_is_valid_and_hardened() -> Result<()> {
    for process in PROCESSES.into_iter().chain(["migrate"]) {
        // Whether the program is installed is not the unit's matter.
        let text = fs::read_to_string(repository().join(unit(process)))?;
        let text = text.replace(&format!("/usr/local/bin/{process}"), "/bin/true");
        let directory = tempfile::tempdir()?;
        let file = directory.path().join(format!("orders-{process}.service"));
        fs::write(&file, text)?;
        let path = file.to_str().context("no UTF-8")?;
        run("systemd-analyze", ["verify", "--recursive-errors=no", path])?;
        let report = run("systemd-analyze", ["security", "--offline=true", path])?;
        let level = report
            .lines()
            .find_map(|line| line.split_once("Overall exposure level for "))
            .context("no level")?
            .1;
        let level: f64 = level.split_whitespace().nth(1).context("no figure")?.parse()?;
        println!("{process}: exposure {level}");
        ensure!(level <= EXPOSURE, "{process}: {level}");
    }
    Ok(())
}

#[test]
#[ignore = "needs systemd-analyze; .ci/deploy runs it"]
fn a_unit_with_a_typing_error_is_found() -> Result<()> {
    let text = fs::read_to_string(repository().join(unit("write-api")))?;
    let text = text.replace("/usr/local/bin/write-api", "/bin/true").replace("TasksMax=", "TaskMax=");
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("orders-write-api.service");
    fs::write(&file, text)?;
    let path = file.to_str().context("no UTF-8")?;
    let found = std::process::Command::new("systemd-analyze").args(["verify", path]).output()?;
    let said = String::from_utf8_lossy(&found.stderr).into_owned();
    ensure!(said.contains("TaskMax"), "{said}");
    Ok(())
}
