//! Measures PostgreSQL alone with pgbench.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use testkit::postgres::Binaries;

use crate::program;

/// The same plans as ours: by key, and planned once.
const SETTINGS: &str =
    "-c enable_seqscan=off -c enable_bitmapscan=off -c jit=off -c plan_cache_mode=force_generic_plan";

const PROTOCOL: &str = "--protocol=prepared";

/// One run of a script, with prepared statements.
#[derive(Debug)]
pub(crate) struct Pgbench<'a> {
    /// The transaction, in pgbench's language.
    pub(crate) script: &'a str,
    /// Concurrent sessions.
    pub(crate) clients: u16,
    pub(crate) length: Length,
    pub(crate) variables: &'a [(&'a str, u32)],
}

/// One thread per core, so that pgbench itself is not the limit.
fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The options, for the printed description.
pub(crate) fn settings() -> String {
    format!("{PROTOCOL} --jobs={} {SETTINGS}", jobs())
}

/// Longer than any number of transactions here takes.
const LONGEST: Duration = Duration::from_mins(10);

/// The length of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    Seconds(u64),
    TransactionsOfEach(u32),
}

/// The result of a run without failures.
#[derive(Debug, PartialEq)]
pub(crate) struct Ran {
    pub(crate) transactions: u64,
    /// Transactions per second, without connection time.
    pub(crate) per_second: f64,
}

impl Pgbench<'_> {
    /// # Errors
    ///
    /// If pgbench cannot run, or a transaction failed.
    pub(crate) async fn run(&self, database_url: &str) -> Result<Ran> {
        let script = tempfile::NamedTempFile::new()?;
        std::fs::write(script.path(), self.script)?;
        let mut command = Command::new(Binaries::find()?.program("pgbench"));
        command.args(["--no-vacuum", PROTOCOL]).arg(format!("--jobs={}", jobs()));
        command.arg(format!("--client={}", self.clients));
        let time = match self.length {
            Length::Seconds(seconds) => {
                command.arg(format!("--time={seconds}"));
                Duration::from_secs(seconds)
            }
            Length::TransactionsOfEach(count) => {
                command.arg(format!("--transactions={count}"));
                LONGEST
            }
        };
        for (name, value) in self.variables {
            command.arg(format!("--define={name}={value}"));
        }
        command.arg("--file").arg(script.path()).arg(without_password(database_url)?);
        command.env("PGOPTIONS", SETTINGS).envs(password(database_url)?);
        let output = program::run(command, time).await?;
        let ran = parse(&output).with_context(|| format!("pgbench printed: {output}"))?;
        ensure!(ran.transactions > 0, "pgbench ran no transaction; it printed: {output}");
        Ok(ran)
    }
}

/// Every user of the machine can see arguments.
fn without_password(database_url: &str) -> Result<String> {
    let mut url = Url::parse(database_url)?;
    if url.password().is_some() {
        url.set_password(None).ok().context("cannot remove the password from the URL")?;
    }
    // `query_pairs` treats a plus as a space; libpq does not.
    let query = url.query().map(|query| query.replace('+', "%2B"));
    url.set_query(query.as_deref());
    let others: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| name != "password").collect();
    url.query_pairs_mut().clear().extend_pairs(others);
    let query = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(query.as_deref());
    Ok(url.into())
}

fn password(database_url: &str) -> Result<Option<(&'static str, OsString)>> {
    let config = service_kit::database::read_url(database_url)?;
    Ok(config.get_password().map(|password| ("PGPASSWORD", OsString::from_vec(password.to_vec()))))
}

fn parse(output: &str) -> Result<Ran> {
    let value = |name: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.trim_start().split([' ', '/']).next());
        number.with_context(|| format!("no `{name}`"))
    };
    let failed = value("number of failed transactions:")?;
    ensure!(failed == "0", "{failed} transactions failed");
    Ok(Ran {
        transactions: value("number of transactions actually processed:")?.parse()?,
        per_second: value("tps =")?.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "number of transactions actually processed: 480/480\n\
                        number of failed transactions: 0 (0.000%)\n\
                        latency average = 1.5 ms\n\
                        tps = 41234.567890 (without initial connection time)\n";

    #[test]
    fn counts_are_read_with_and_without_a_requested_number() {
        let ran = Ran { transactions: 480, per_second: 41_234.567_89 };
        assert_eq!(parse(OUTPUT).unwrap(), ran);
        assert_eq!(parse(&OUTPUT.replace("480/480", "480")).unwrap(), ran);
    }

    #[test]
    fn a_password_never_becomes_an_argument() {
        let without = |url| without_password(url).unwrap();
        assert_eq!(without("postgres://h/d?host=%2Fa%20b+c"), "postgres://h/d?host=%2Fa%20b%2Bc");
        assert_eq!(without("postgres://u:secret@h/d?host=%2Ftmp"), "postgres://u@h/d?host=%2Ftmp");
        assert_eq!(without("postgres://h/d?user=u&password=secret"), "postgres://h/d?user=u");
        assert!(without_password("host=h password=secret").is_err());
    }

    #[test]
    fn a_failed_transaction_fails_the_run() {
        assert!(parse(&OUTPUT.replace(": 0 (", ": 2 (")).is_err());
        assert!(parse("").is_err());
    }
}
