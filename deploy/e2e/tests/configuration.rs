//! The configuration table of `deploy/README.md` has the names, processes, defaults and ranges of the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use regex::Regex;
use service_kit::config::{ConfigError, Vars};
use service_kit::traces::TracesConfig;
use service_kit::{default_ports, telemetry};

/// Reads the variables as the process does: the configuration as text, or the error.
type Read = fn(&Vars) -> Result<String, String>;

/// The read service of the example reads what all processes read, and nothing else.
const PROCESSES: [(&str, Read); 4] = [
    ("write-api", |vars| text(write_api::Config::from_vars(vars), vars)),
    ("read-api", |vars| text(read_api::Config::from_vars(vars), vars)),
    ("projector", |vars| text(projector::Config::from_vars(vars), vars)),
    ("revenue-api", |vars| text(revenue::api::Config::from_vars(vars), vars)),
];

/// All processes read the variables of traces beside their own.
fn text<T: std::fmt::Debug>(config: Result<T, ConfigError>, vars: &Vars) -> Result<String, String> {
    let both = config.and_then(|config| Ok((config, TracesConfig::from_vars(vars)?)));
    both.map(|both| format!("{both:?}")).map_err(|error| error.to_string())
}

/// Required variables, which have no default, and the one without which others of traces are not read.
const REQUIRED: [(&str, &str); 4] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
    ("AUTH", "off"),
    ("DATABASE_URL", "postgres://app@localhost/orders"),
    ("CURSOR_KEY", "a key of at least thirty-two characters"),
];

/// Variables that limit others: set so that they limit nothing.
const UNLIMITED: [(&str, &str, &str); 3] = [
    ("WORKERS", "DATABASE_POOL_SIZE", "500"),
    ("PARKED_RETRY_FIRST_MS", "PARKED_RETRY_MAX_MS", "86400000"),
    ("PARKED_RETRY_MAX_MS", "PARKED_RETRY_FIRST_MS", "1"),
];

/// Defaults that are not part of a process's configuration.
const OTHER_DEFAULTS: [(&str, &str, &str); 2] =
    [("RUST_LOG", "all", telemetry::DEFAULT_RUST_LOG), ("LOG_FORMAT", "all", telemetry::DEFAULT_LOG_FORMAT)];

const PORTS: [(&str, &str, u16); 6] = [
    ("PORT", "write-api", default_ports::WRITE_API),
    ("PORT", "read-api", default_ports::READ_API),
    ("PORT", "projector", default_ports::PROJECTOR),
    ("ADMIN_PORT", "write-api", default_ports::WRITE_API_ADMIN),
    ("ADMIN_PORT", "read-api", default_ports::READ_API_ADMIN),
    ("ADMIN_PORT", "projector", default_ports::PROJECTOR_ADMIN),
];

/// A row of the table.
#[derive(Debug)]
struct Row {
    variable: String,
    processes: String,
    default: String,
    range: Option<(i64, i64)>,
}

impl Row {
    fn parse(line: &str) -> Result<Self> {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, variable, processes, default, range, ..] = cells.as_slice() else {
            anyhow::bail!("too few columns: {line}")
        };
        let range = match range.split_once('–') {
            Some((low, high)) => Some((low.parse()?, high.parse()?)),
            None => None,
        };
        let [variable, default] = [variable, default].map(|cell| cell.trim_matches('`').to_owned());
        Ok(Self { variable, processes: (*processes).to_owned(), default, range })
    }

    fn is_read_by(&self, process: &str) -> bool {
        self.processes == "all" || self.processes.split(", ").any(|name| name == process)
    }

    /// Reads the configuration with this variable set to `value`, or not set.
    fn read(&self, read: Read, value: Option<&str>) -> Result<String, String> {
        let limits = UNLIMITED.iter().filter(|(variable, ..)| *variable == self.variable);
        let base = REQUIRED.iter().copied().chain(limits.map(|(_, other, value)| (*other, *value)));
        let all = base.chain(value.map(|value| (self.variable.as_str(), value)));
        read(&all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn check_range(&self, process: &str, read: Read) -> Result<()> {
        let Some((low, high)) = self.range else { return Ok(()) };
        let name = &self.variable;
        for outside in [low - 1, high + 1] {
            let error = self.read(read, Some(&outside.to_string()));
            let is_refused = error.as_ref().is_err_and(|error| error.contains(name));
            ensure!(is_refused == self.is_read_by(process), "{process} with {name}={outside}: {error:?}");
        }
        if self.is_read_by(process) {
            let [at_low, at_high] = [low, high].map(|value| self.read(read, Some(&value.to_string())));
            ensure!(at_low.is_ok() && at_high.is_ok(), "{process}, {name}: {at_low:?}, {at_high:?}");
            // Otherwise the comparison with the default would prove nothing.
            ensure!(at_low != at_high, "{process}: {name} does not show in the configuration");
        }
        Ok(())
    }

    fn check_default(&self, process: &str, read: Read) -> Result<()> {
        if !self.is_read_by(process) {
            return Ok(());
        }
        let name = self.variable.as_str();
        let is_this = |variable: &str, of: &str| variable == name && (of == "all" || of == process);
        if let Some((.., port)) = PORTS.iter().find(|(variable, of, _)| is_this(variable, of)) {
            ensure!(self.default == port.to_string(), "{process} has {name}={port}");
        } else if let Some((.., default)) =
            OTHER_DEFAULTS.iter().find(|(variable, of, _)| is_this(variable, of))
        {
            ensure!(self.default == *default, "{process} has {name}={default}");
        } else if self.default == "required" {
            let others = REQUIRED.iter().filter(|(variable, _)| *variable != name);
            let error =
                read(&others.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
            let words = [format!("{name} is not set"), format!("{name} (or {name}_FILE) is not set")];
            let is_named = error.as_ref().is_err_and(|error| words.contains(error));
            ensure!(is_named, "{process} without {name}: {error:?}");
        } else if self.default != "unset" {
            let explicit = self.read(read, Some(&self.default));
            ensure!(explicit.is_ok(), "{process} with {name}={}: {explicit:?}", self.default);
            ensure!(
                self.read(read, None) == explicit,
                "{process}: {name} is not {} by default",
                self.default
            );
        }
        Ok(())
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn table() -> Result<Vec<Row>> {
    let document = fs::read_to_string(workspace().join("deploy/README.md"))?;
    let (_, section) = document.split_once("\n## Configuration\n").context("no section on configuration")?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    section.lines().filter(|line| line.starts_with("| `")).map(Row::parse).collect()
}

#[test]
fn the_table_has_the_ranges_of_the_code() -> Result<()> {
    for row in table()? {
        for (process, read) in PROCESSES {
            // Another row of the same variable has another default for another process.
            if row.is_read_by(process) || row.variable != "PORT" && row.variable != "ADMIN_PORT" {
                row.check_range(process, read)?;
            }
        }
    }
    Ok(())
}

#[test]
fn the_table_has_the_defaults_of_the_code() -> Result<()> {
    for row in table()? {
        for (process, read) in PROCESSES {
            row.check_default(process, read)?;
        }
    }
    Ok(())
}

/// The variables that appear in the code, in checks and in errors.
fn variables_in(dir: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    let name = Regex::new(
        r#"(?:(?:variable|value|file): |(?:in_range|check_address|value|claim|text)\(|variable = )"([A-Z][A-Z_]+)""#,
    )?;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            variables_in(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = fs::read_to_string(&path)?;
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            found.extend(name.captures_iter(code).map(|name| name[1].to_owned()));
        }
    }
    Ok(())
}

#[test]
fn the_table_has_every_variable_of_the_code() -> Result<()> {
    let table: BTreeSet<_> = table()?.into_iter().map(|row| row.variable).collect();
    let mut in_code = BTreeSet::new();
    for package in ["write-api", "read-api", "projector", "deploy/service-kit", "deploy/examples/revenue"] {
        variables_in(&workspace().join(package).join("src"), &mut in_code)?;
    }
    assert!(in_code.len() > 20, "found too few variables: {in_code:?}");
    let missing: Vec<_> = in_code.difference(&table).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    Ok(())
}

/// A variable and its default, in the tables of both documents.
#[test]
fn the_document_on_tokens_lists_the_variables_and_defaults_of_the_table() -> Result<()> {
    let document = fs::read_to_string(workspace().join("docs/authentication.md"))?;
    let (_, section) = document.split_once("\n### Settings\n").context("no section on settings")?;
    let section = section.split("\n### ").next().unwrap_or_default();
    let listed = section.lines().filter(|line| line.starts_with("| `")).map(|line| -> Result<_> {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
        let [_, variable, default, ..] = cells.as_slice() else { anyhow::bail!("too few columns: {line}") };
        Ok((variable.clone(), default.clone()))
    });
    let listed: Vec<_> = listed.collect::<Result<_>>()?;
    let rows = table()?.into_iter().filter(|row| row.variable.starts_with("AUTH"));
    let rows: Vec<_> = rows.map(|row| (row.variable, row.default)).collect();
    assert_eq!(listed, rows);
    Ok(())
}

#[test]
fn no_variable_is_in_the_table_twice_for_a_process() -> Result<()> {
    let mut seen = BTreeSet::new();
    for Row { variable, processes, .. } in table()? {
        assert!(seen.insert((variable.clone(), processes)), "{variable}");
    }
    Ok(())
}
