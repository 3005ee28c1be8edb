//! The rules in `deploy/prometheus`, and the objectives that they watch: Prometheus' own tool accepts and tests them,
//! each alert has a case in which it fires and one in which it does not, and all name metrics that exist.

mod metrics;
mod promtool;
mod query;
mod rules;
mod runbook;
mod runbook_faults;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A path in the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The files of a folder in `deploy/prometheus`, in order.
fn yaml_files(folder: &str) -> Result<Vec<PathBuf>> {
    let dir = repository("deploy/prometheus").join(folder);
    let entries = std::fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
    let mut files: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    Ok(files)
}
