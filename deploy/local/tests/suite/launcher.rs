//! The launcher as a user runs it.

use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::arguments::check_that_none_is_repeated;
use testkit::postgres::open_to_the_servers_user;
use testkit::services::{ServiceBinaries, ServiceKind, launcher_on_free_ports};
use testkit::test_database::TestDatabase;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_local");

/// A run on free ports.
fn launcher(program: &Path) -> Command {
    let mut command = Command::from(launcher_on_free_ports(program));
    command.arg("--once");
    command
}

async fn run_once(program: &Path, set_up: impl FnOnce(&mut Command)) -> Result<Output> {
    ServiceBinaries::built().await?;
    let mut command = launcher(program);
    set_up(&mut command);
    Ok(command.output().await?)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The number of migrations: each is a folder.
fn migrations() -> Result<usize> {
    let entries = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations"))?;
    Ok(entries.flatten().filter(|entry| entry.path().is_dir()).count())
}

#[tokio::test]
async fn the_option_once_takes_orders_through_their_steps_and_shows_what_they_were_told() -> Result<()> {
    let output = run_once(Path::new(PROGRAM), |_| {}).await?;
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains(&format!("migrations  {} applied", migrations()?))
            && said.contains("alice has 3 orders in the read model"),
        "{said}"
    );
    for field in [
        "status           shipped",
        "carrier          DHL",
        "1 × POT-IRON at 5900, 4 × CUP-GLASS at 1150",
        "order_shipped    shipped, version 3",
    ] {
        assert!(said.contains(field), "{field:?} is missing: {said}");
    }
    for kind in ["order_placed", "order_paid", "order_shipped"] {
        let webhook = |line: &str| line.contains(kind) && line.contains("  signature verified, ");
        assert!(said.lines().any(webhook), "no webhook of {kind}: {said}");
    }
    assert!(!said.contains("whsec_"), "a secret is shown: {said}");
    Ok(())
}

#[tokio::test]
async fn the_option_examples_shows_what_the_example_has_added_up_and_where_it_is() -> Result<()> {
    ServiceBinaries::build_all(&ServiceKind::WITH_EXAMPLES).await?;
    let output = run_once(Path::new(PROGRAM), |command| {
        command.arg("--examples");
    })
    .await?;
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let lines: Vec<_> =
        said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let shows = |text: &str| lines.iter().any(|line| line.starts_with(text));
    assert!(shows("revenue-api http://127.0.0.1:") && shows("revenue-projector "), "{said}");
    assert!(lines.iter().any(|line| line.ends_with("EUR 2 11400")), "{said}");
    Ok(())
}

#[tokio::test]
async fn the_option_auth_shows_the_same_and_leaves_neither_tokens_nor_keys() -> Result<()> {
    ServiceBinaries::build_all(&ServiceKind::WITH_EXAMPLES).await?;
    let temp_dir = tempfile::tempdir()?;
    open_to_the_servers_user(temp_dir.path())?;
    let output = run_once(Path::new(PROGRAM), |command| {
        // Those of the person who starts it must not count.
        command.env("AUTH", "off").env("AUTH_JWKS_URL", "https://issuer.example/jwks");
        command.args(["--auth", "--examples"]).env("TMPDIR", temp_dir.path());
    })
    .await?;
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for shown in ["alice has 3 orders", "order_shipped    shipped, version 3", "revenue-api shows:"] {
        assert!(said.contains(shown), "{shown:?} is missing: {said}");
    }
    assert!(!said.contains("eyJ"), "a token is shown, and nothing runs any more: {said}");
    assert_eq!(std::fs::read_dir(temp_dir.path())?.count(), 0, "files were left");
    Ok(())
}

#[tokio::test]
async fn a_data_directory_keeps_the_orders() -> Result<()> {
    let data = tempfile::tempdir()?;
    open_to_the_servers_user(data.path())?;
    for (applied, orders) in [(migrations()?, 3), (0, 6)] {
        let output = run_once(Path::new(PROGRAM), |command| {
            command.arg("--data-dir").arg(data.path().join("pg"));
        })
        .await?;
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains(&format!("migrations  {applied} applied")), "{said}");
        assert!(said.contains(&format!("alice has {orders} orders")), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_data_directory_works_after_its_server_was_killed() -> Result<()> {
    let data = tempfile::tempdir()?;
    open_to_the_servers_user(data.path())?;
    let directory = data.path().join("pg");
    let again = || {
        run_once(Path::new(PROGRAM), |command| {
            command.arg("--data-dir").arg(&directory);
        })
    };
    assert!(again().await?.status.success());
    // As after a crash: the file of a ready server whose process is gone.
    let gone = 4_194_305; // Above the highest process id of Linux.
    let socket_dir = data.path().display();
    let stale = format!("{gone}\n{}\n1\n5432\n{socket_dir}\n\n0 0\nready   \n", directory.display());
    std::fs::write(directory.join("postmaster.pid"), stale)?;
    let output = again().await?;
    assert!(output.status.success() && text(&output).contains("alice has 6 orders"), "{}", text(&output));
    Ok(())
}

#[tokio::test]
async fn a_pg_bin_without_postgresql_is_an_error_that_names_it() -> Result<()> {
    let output = run_once(Path::new(PROGRAM), |command| {
        command.env("PG_BIN", "/no/such/place");
    })
    .await?;
    let said = text(&output);
    assert!(!output.status.success() && said.contains("PG_BIN=/no/such/place"), "{said}");
    Ok(())
}

#[tokio::test]
async fn an_existing_server_is_used() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let output = run_once(Path::new(PROGRAM), |command| {
        command.env("DATABASE_URL", database.superuser_url());
    })
    .await?;
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("private") && said.contains("alice has 3 orders"), "{said}");
    let stored =
        "SELECT string_agg(concat_ws(' ', status, currency, carrier, cancel_reason), ', ' ORDER BY placed_at)
                  FROM orders";
    let stored: String = database.connect().await?.query_one(stored, &[]).await?.get(0);
    assert_eq!(stored, "paid EUR, shipped EUR DHL, cancelled EUR Ordered twice");
    assert_eq!(endpoints(&database).await?, 0, "the endpoint of the demonstration was left");
    Ok(())
}

/// How many webhook endpoints there are, and how many subscriptions of such.
async fn endpoints(database: &TestDatabase) -> Result<i64> {
    let count = "SELECT (SELECT count(*) FROM webhook_endpoints)
                      + (SELECT count(*) FROM subscriptions WHERE name LIKE 'webhook:%')";
    Ok(database.connect().await?.query_one(count, &[]).await?.get(0))
}

#[tokio::test]
async fn a_demonstration_that_is_interrupted_leaves_no_endpoint() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    ServiceBinaries::built().await?;
    let mut command = launcher(Path::new(PROGRAM));
    command.env("DATABASE_URL", database.superuser_url()).stdout(Stdio::piped());
    let mut running = command.spawn()?;
    let mut lines = BufReader::new(running.stdout.take().context("no output")?).lines();
    // After the endpoint was added, and before the orders take their steps.
    while lines.next_line().await?.is_some_and(|line| !line.starts_with("order ")) {}
    let had = endpoints(&database).await?;
    kill(Pid::from_raw(running.id().context("it has ended")?.try_into()?), Signal::SIGINT)?;
    assert!(running.wait().await?.success());
    assert_eq!((had, endpoints(&database).await?), (2, 0));
    Ok(())
}

#[tokio::test]
async fn an_ordinary_user_can_run_it() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(()); // All other tests cover it.
    }
    let Some(nobody) = nix::unistd::User::from_name("nobody")? else {
        anyhow::bail!("there is no user nobody")
    };
    // Other users may not have access to the build directory, so copy the programs.
    let programs = tempfile::tempdir()?;
    open_to_the_servers_user(programs.path())?;
    let built = ServiceBinaries::built().await?;
    for kind in ServiceKind::ALL {
        std::fs::copy(built.program(kind), programs.path().join(kind.name()))?;
    }
    let program = programs.path().join("local");
    std::fs::copy(PROGRAM, &program)?;
    let temp_dir = tempfile::tempdir()?;
    nix::unistd::chown(temp_dir.path(), Some(nobody.uid), Some(nobody.gid))?;
    let output = run_once(&program, |command| {
        command
            .uid(nobody.uid.as_raw())
            .gid(nobody.gid.as_raw())
            .current_dir("/")
            .env("TMPDIR", temp_dir.path());
    })
    .await?;
    assert!(output.status.success() && text(&output).contains("alice has 3 orders"), "{}", text(&output));
    Ok(())
}

#[tokio::test]
async fn help_names_every_option_and_no_secret() -> Result<()> {
    let output =
        Command::new(PROGRAM).arg("--help").env("DATABASE_URL", "postgres://u:hunter2@h/d").output().await?;
    let said = text(&output);
    for option in [
        "--write-port",
        "--read-port",
        "--feed-port",
        "--admin-port",
        "--once",
        "--data-dir",
        "--examples",
        "--auth",
        "--no-build",
        "DATABASE_URL",
    ] {
        assert!(said.contains(option), "{option} is missing: {said}");
    }
    assert!(!said.contains("hunter2"));
    Ok(())
}

#[tokio::test]
async fn a_wrong_configuration_is_one_line_with_its_own_status() -> Result<()> {
    for (arguments, vars, words) in [
        (
            vec!["--database-url", "postgres://u:hunter2@h/d"],
            vec![],
            "set DATABASE_URL, or DATABASE_URL_FILE",
        ),
        (vec![], vec![("DATABASE_URL", "postgres://u:hunter2@db.example/d")], "DATABASE_URL has no sslmode"),
        (vec![], vec![("DATABASE_URL_FILE", "/missing/url")], "DATABASE_URL_FILE"),
    ] {
        let mut command = Command::new(PROGRAM);
        let output = command.arg("--no-build").args(arguments).envs(vars).output().await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!((output.status.code(), said.lines().count()), (Some(78), 1), "{said}");
        assert!(said.starts_with("Error: ") && said.contains(words) && !said.contains("hunter2"), "{said}");
    }
    Ok(())
}

#[test]
fn a_wrong_argument_is_never_repeated() -> Result<()> {
    check_that_none_is_repeated(PROGRAM, &[&[], &["--once"], &["--write-port"], &["--auth"]])
}
