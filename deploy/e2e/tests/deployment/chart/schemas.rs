//! What the schemas of Kubernetes and of its extensions find, and the rules of checkov.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::rendered::documents;
use crate::commands::repository;

/// Groups whose kinds are not part of Kubernetes.
const EXTENSIONS: [&str; 3] = ["keda.sh/", "monitoring.coreos.com/", "gateway.networking.k8s.io/"];

/// What the schemas find: every kind is in one of them.
pub(super) fn schema_faults(text: &str) -> Result<Vec<String>> {
    let (extensions, kubernetes): (Vec<_>, Vec<_>) = documents(text)?.into_iter().partition(|document| {
        let version = document["apiVersion"].as_str();
        EXTENSIONS.iter().any(|group| version.is_some_and(|version| version.starts_with(group)))
    });
    Ok([faults_of_kubernetes(&kubernetes)?, faults_of_extensions(&extensions)?].concat())
}

fn faults_of_kubernetes(documents: &[Value]) -> Result<Vec<String>> {
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let mut file = NamedTempFile::with_suffix(".yaml")?;
    for document in documents {
        writeln!(file, "---\n{document}")?;
    }
    let found = Command::new("kubernetes-validate").arg("--strict").arg(file.path()).output()?;
    let said =
        [found.stdout, found.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let passed = said.lines().filter(|line| line.starts_with("INFO") && line.contains("passed")).count();
    // A warning is a kind that it does not know.
    let others: Vec<_> = said.lines().filter(|line| !line.starts_with("INFO")).map(str::to_owned).collect();
    ensure!(passed == documents.len() || !others.is_empty(), "{said}");
    Ok(others)
}

/// `.ci/deploy` makes this program of `deploy/helm/check`.
fn faults_of_extensions(documents: &[Value]) -> Result<Vec<String>> {
    let mut child = Command::new("check-custom-resources")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("check-custom-resources cannot be started")?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(serde_json::to_string(documents)?.as_bytes())?;
    drop(input);
    let found = child.wait_with_output()?;
    let faults: Vec<_> = String::from_utf8(found.stdout)?.lines().map(str::to_owned).collect();
    ensure!(found.status.success() == faults.is_empty(), "{}: {faults:?}", found.status);
    Ok(faults)
}

/// The rules of checkov that the text breaks.
pub(super) fn checkov_faults(text: &str) -> Result<Vec<String>> {
    let mut file = NamedTempFile::with_suffix(".yaml")?;
    file.write_all(text.as_bytes())?;
    let config = ["--config-file", "deploy/helm/checkov.yaml", "--skip-download", "--file"];
    let found = Command::new("checkov").args(config).arg(file.path()).current_dir(repository()).output()?;
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    let faults: Vec<_> = said.lines().filter(|line| line.starts_with("Check: ")).map(str::to_owned).collect();
    ensure!(found.status.success() == faults.is_empty(), "{}: {said}", found.status);
    ensure!(!faults.is_empty() || said.trim().is_empty() || said.contains("Failed checks: 0"), "{said}");
    Ok(faults)
}
