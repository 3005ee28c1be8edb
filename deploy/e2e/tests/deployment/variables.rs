//! Every variable in Compose and in the units exists, and every one that is required is set.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use service_kit::config::Vars;

use crate::commands::repository;
use crate::environment::{PROCESSES, check, with_files_in};
use crate::secrets::Secrets;

/// The environment of a service of compose.yaml, with the defaults of its variables.
fn compose(service: &str) -> Result<Vars> {
    let text = fs::read_to_string(repository().join("deploy/compose.yaml"))?;
    let file: Value = serde_saphyr::from_str(&text)?;
    let environment = file["services"][service]["environment"].as_object().context("no environment")?;
    environment.iter().map(|(name, value)| Ok((name.clone(), with_default(&plain(value))?))).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `${NAME:-value}` is the value.
fn with_default(value: &str) -> Result<String> {
    let Some(variable) = value.strip_prefix("${") else { return Ok(value.to_owned()) };
    let (variable, rest) = variable.split_once('}').context("a variable without end")?;
    let (_, default) = variable.split_once(":-").context("a variable without default")?;
    Ok(format!("{default}{rest}"))
}

/// The environment of a unit: what systemd adds to the file of the operator, whose lines are those of the unit's head.
fn unit(process: &str) -> Result<Vars> {
    let text = fs::read_to_string(repository().join(format!("deploy/systemd/orders-{process}.service")))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("Environment="));
    let own: Result<Vars> = lines
        .map(|line| {
            line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).context("no =")
        })
        .collect();
    let example = fs::read_to_string(repository().join(format!("deploy/systemd/{process}.env")))?;
    let lines = example.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let given = lines.map(|line| {
        line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).context("no =")
    });
    own?.into_iter().map(Ok).chain(given).collect()
}

#[test]
fn each_process_accepts_its_environment_of_compose() -> Result<()> {
    let secrets = Secrets::make()?;
    for process in PROCESSES {
        let vars = with_files_in(compose(process)?, "/run/secrets", &secrets.of(process))?;
        check(process, &vars)?;
        for (name, _) in &vars {
            if name.starts_with("AUTH") || name.ends_with("_FILE") {
                let others: Vars = vars.iter().filter(|(other, _)| other != name).cloned().collect();
                ensure!(check(process, &others).is_err(), "{process} starts without {name}");
            }
        }
    }
    Ok(())
}

#[test]
fn each_process_accepts_its_environment_of_systemd() -> Result<()> {
    let secrets = Secrets::make()?;
    for process in PROCESSES {
        let directory = secrets.of(process);
        let vars = with_files_in(unit(process)?, "%d", &directory)?;
        // The URL names a file of the containers.
        let vars = with_files_in(vars, "/run/secrets", &directory)?;
        check(process, &vars)?;
    }
    Ok(())
}

#[test]
fn a_variable_that_no_process_knows_is_found() -> Result<()> {
    let secrets = Secrets::make()?;
    let mut vars = with_files_in(compose("read-api")?, "/run/secrets", &secrets.of("read-api"))?;
    vars.push(("LIVE_POLL_MSEC".to_owned(), "100".to_owned()));
    let error = check("read-api", &vars).map_err(|error| error.to_string());
    ensure!(error == Err("read-api knows no LIVE_POLL_MSEC".to_owned()), "{error:?}");
    Ok(())
}
