//! Runs a process: its log, the line about its failure, and its exit status.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;

use crate::config::{self, ConfigError, Vars};
use crate::telemetry::{self, chain};

/// Exit status if the configuration is wrong, so that starting again is useless: `EX_CONFIG` of sysexits.h.
const WRONG_CONFIGURATION: u8 = 78;

/// Where a failure is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// In the log, as one line of JSON, whatever `RUST_LOG` and `LOG_FORMAT` say; on standard error if nobody reads the
    /// log.
    Log,
    /// On standard error, for a person.
    Terminal,
}

/// Starts the log and traces, runs `work` with the variables of this process, and reports its failure. Returns the exit
/// status. For a person, the log is on standard error, so that standard output has nothing but what the command prints.
pub fn run(report: Report, work: impl FnOnce(&Vars) -> anyhow::Result<ExitCode>) -> ExitCode {
    let vars = config::vars_of_process();
    let start = match report {
        Report::Log => telemetry::init(&vars).map(Some),
        Report::Terminal => telemetry::init_on_standard_error(&vars).map(|()| None),
    };
    let done = start.map_err(anyhow::Error::from).and_then(|flush| {
        let done = with_traces(&vars, work);
        // What is left of the log comes before the line about a failure.
        drop(flush);
        done
    });
    end(report, done)
}

/// Reports a failure, and returns the exit status.
#[must_use]
pub fn end(report: Report, done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| fail(report, &error))
}

/// The last spans are sent when the work is done: its runtime must not wait for the collector.
#[cfg(feature = "web")]
fn with_traces<T>(vars: &Vars, work: impl FnOnce(&Vars) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(std::path::Path::file_stem).and_then(std::ffi::OsStr::to_str);
    let _export = crate::traces::start(vars, program.unwrap_or("orders"))?;
    work(vars)
}

#[cfg(not(feature = "web"))]
fn with_traces<T>(vars: &Vars, work: impl FnOnce(&Vars) -> anyhow::Result<T>) -> anyhow::Result<T> {
    work(vars)
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    message: &'a str,
    error: &'a str,
    target: &'a str,
}

fn fail(report: Report, error: &anyhow::Error) -> ExitCode {
    let is_configuration = error.chain().any(<dyn Error>::is::<ConfigError>);
    let text = chain(error.as_ref());
    // Nobody may read either; the exit status says the rest.
    let _nobody_reads = match report {
        Report::Log => {
            let line = Line {
                timestamp: Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
                level: "ERROR",
                message: if is_configuration { "the configuration is wrong" } else { "the process failed" },
                error: &text,
                target: module_path!(),
            };
            serde_json::to_string(&line).map_err(io::Error::from).and_then(|line| {
                writeln!(io::stdout(), "{line}").or_else(|_| writeln!(io::stderr(), "{line}"))
            })
        }
        Report::Terminal => writeln!(io::stderr(), "Error: {text}"),
    };
    if is_configuration { ExitCode::from(WRONG_CONFIGURATION) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn only_a_wrong_configuration_has_its_own_status() {
        let wrong = || anyhow::Error::from(ConfigError::Missing { variable: "X".to_owned() });
        let status = |error: &anyhow::Error| format!("{:?}", fail(Report::Terminal, error));
        let expected = format!("{:?}", ExitCode::from(78));
        assert_eq!(status(&wrong()), expected);
        assert_eq!(status(&Err::<(), _>(wrong()).context("outer").unwrap_err()), expected);
        assert_eq!(status(&anyhow::anyhow!("other")), format!("{:?}", ExitCode::FAILURE));
    }

    /// In a process of its own: this test again, with a variable.
    #[test]
    fn the_log_of_a_command_for_a_person_is_on_standard_error() {
        if std::env::var_os("IS_COMMAND").is_some() {
            let _status = run(Report::Terminal, |_| {
                tracing::info!("a line of the log");
                Ok(ExitCode::SUCCESS)
            });
            return;
        }
        let this = "process::tests::the_log_of_a_command_for_a_person_is_on_standard_error";
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args([this, "--exact", "--nocapture"]).env("IS_COMMAND", "1").output().unwrap();
        let has_line = |stream: &[u8]| String::from_utf8_lossy(stream).contains("a line of the log");
        assert!(has_line(&output.stderr) && !has_line(&output.stdout), "{output:?}");
    }
}
