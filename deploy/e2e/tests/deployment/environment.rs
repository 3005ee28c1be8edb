//! Whether a process accepts the environment that a platform gives it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use service_kit::config::Vars;
use service_kit::traces::TracesConfig;

use crate::commands::repository;

/// The processes, by the names of their programs.
pub(crate) const PROCESSES: [&str; 3] = ["write-api", "projector", "read-api"];

/// Reads the configuration as the process does at its start.
///
/// # Errors
///
/// What the process would log, or a variable that it does not know.
pub(crate) fn check(process: &str, vars: &Vars) -> Result<()> {
    for (name, _) in vars {
        ensure!(is_known(process, name)?, "{process} knows no {name}");
    }
    match process {
        "write-api" => drop(write_api::Config::from_vars(vars)?),
        "projector" => drop(projector::Config::from_vars(vars)?),
        "read-api" => drop(read_api::Config::from_vars(vars)?),
        _ => anyhow::bail!("there is no process {process}"),
    }
    TracesConfig::from_vars(vars)?;
    Ok(())
}

/// Whether the table of deploy/README.md, which has what the code has, lists the variable for this process.
fn is_known(process: &str, name: &str) -> Result<bool> {
    let document = fs::read_to_string(repository().join("deploy/README.md"))?;
    let rows = document.lines().filter_map(|line| line.strip_prefix(&format!("| `{name}` | ")));
    let of = |row: &str| {
        row.split(" |").next().is_some_and(|of| of == "all" || of.split(", ").any(|of| of == process))
    };
    Ok(rows.into_iter().any(of))
}

/// The variables with the files of `mounted` in `directory` instead, also those that the URL of the database names.
pub(crate) fn with_files_in(vars: Vars, mounted: &str, directory: &Path) -> Result<Vars> {
    let replaced = directory.to_str().context("no UTF-8")?;
    let url = directory.join("database_url");
    let text = fs::read_to_string(&url)?;
    fs::write(&url, text.replace(mounted, replaced))?;
    Ok(vars.into_iter().map(|(name, value)| (name, value.replace(mounted, replaced))).collect())
}
