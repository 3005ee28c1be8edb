//! Where the migrator finds the URL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::arguments::check_that_none_is_repeated;
use testkit::test_database::TestDatabase;

const URL: &str = "postgres://owner:hunter2@localhost/orders";

fn migrate(arguments: &[&str], vars: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrate"));
    Ok(command.args(arguments).env_clear().envs(vars.iter().copied()).output()?)
}

#[test]
fn a_wrong_configuration_is_one_line_of_json_without_secrets() -> Result<()> {
    for (arguments, vars, words) in [
        (
            vec!["--database-url", URL, "status"],
            vec![],
            "--database-url is not accepted, because every user of the machine can read arguments: set \
             DATABASE_URL, or DATABASE_URL_FILE to the path of a file that only you can read",
        ),
        (vec!["up"], vec![], "DATABASE_URL (or DATABASE_URL_FILE) is not set"),
        (vec![], vec![("DATABASE_URL", URL), ("DATABASE_URL_FILE", "/url")], "are both set"),
        (
            vec![],
            vec![("DATABASE_URL", "postgres://owner:hunter2@db.example/orders")],
            "DATABASE_URL has no sslmode",
        ),
        (vec![], vec![("DATABASE_URL", URL), ("LOG_FORMAT", "xml")], "LOG_FORMAT must be"),
    ] {
        let output = migrate(&arguments, &vars)?;
        let log = String::from_utf8(output.stdout)?;
        let line: Value = serde_json::from_str(&log).with_context(|| log.clone())?;
        assert!(line["error"].as_str().is_some_and(|error| error.contains(words)), "{words}: {line}");
        assert_eq!((output.status.code(), output.stderr), (Some(78), vec![]), "{words}");
        assert!(!log.contains("hunter2"), "{log}");
    }
    Ok(())
}

#[test]
fn a_wrong_argument_is_never_repeated() -> Result<()> {
    let lines: &[&[&str]] = &[&[], &["up"], &["down"], &["down", "--steps"], &["status"], &["doctor"]];
    check_that_none_is_repeated(env!("CARGO_BIN_EXE_migrate"), lines)
}

#[tokio::test]
async fn the_url_may_be_in_a_file() -> Result<()> {
    let database = TestDatabase::create().await?;
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, format!("{}\n", database.superuser_url()))?;
    let vars = [("DATABASE_URL_FILE", file.path().to_str().context("a path")?)];
    let output = migrate(&["status"], &vars)?;
    assert!(output.status.success(), "{output:?}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    assert_eq!(migrate(&["status"], &vars)?.status.code(), Some(78));
    Ok(())
}
