//! All cells of a database, and what stops them.

use std::time::Duration;

use anyhow::Result;
use migrate::Cell;
use testkit::test_database::TestDatabase;
use testkit::wait;

use crate::support::{Ran, behind, database_with, run, steps_from};

const CELLS: [&str; 3] = ["cell_01", "cell_02", "cell_03"];

/// It needs the table `outbox` for itself.
const LOCKS_THE_OUTBOX: &str = "2026-11-27-001000";

/// Three cells, in each of which these steps are pending.
async fn behind_by(steps: usize) -> Result<TestDatabase> {
    let database = database_with(&CELLS).await?;
    for cell in CELLS {
        Cell::new(cell)?.down(&database.superuser_url(), steps).await?;
    }
    Ok(database)
}

fn check_failure(said: &Ran, cell: &str, done: usize) {
    let reason = format!("the cell {cell} failed; {done} of 3 cells were migrated before it");
    assert!(said.code == Some(1) && said.reason().contains(&reason), "{}", said.reason());
}

#[tokio::test]
async fn all_are_migrated_by_name_and_again_without_effect() -> Result<()> {
    let database = behind_by(1).await?;
    let url = database.superuser_url();
    let status = run(&url, &["status", "--all-cells"]).await?;
    assert!(status.code == Some(1) && status.reason().contains("in 3 of 3 cells"), "{}", status.reason());
    assert_eq!(status.cells("cell"), CELLS);
    for applied in [1, 0] {
        let said = run(&url, &["up", "--all-cells"]).await?;
        assert_eq!((said.code, said.cells("cell migrated")), (Some(0), CELLS.to_vec()), "{}", said.reason());
        assert!(said.lines.iter().all(|line| line["migrations"] == applied), "{:?}", said.lines);
    }
    assert_eq!(run(&url, &["status", "--all-cells"]).await?.code, Some(0));
    Ok(())
}

#[tokio::test]
async fn the_canary_comes_first() -> Result<()> {
    let database = behind_by(1).await?;
    for (canary, order) in [("--canary", CELLS), ("--canary=cell_02", ["cell_02", "cell_01", "cell_03"])] {
        let said = run(&database.superuser_url(), &["up", "--all-cells", canary]).await?;
        assert_eq!((said.code, said.cells("cell migrated")), (Some(0), order.to_vec()), "{}", said.reason());
        let canaries: Vec<_> = said.lines.iter().map(|line| line["is_canary"] == true).collect();
        assert_eq!(canaries, [true, false, false]);
    }
    let without_name = run(&database.superuser_url(), &["up", "--all-cells", "--canary="]).await?;
    assert!(
        without_name.code == Some(2) && without_name.error.contains("the name is empty"),
        "{}",
        without_name.error
    );
    Ok(())
}

#[tokio::test]
async fn a_canary_that_fails_leaves_the_others_untouched() -> Result<()> {
    let database = behind_by(steps_from(LOCKS_THE_OUTBOX)?).await?;
    let url = database.superuser_url();
    let mut session = database.connect().await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute("LOCK TABLE cell_02.outbox IN ACCESS SHARE MODE").await?;
    let said = run(&url, &["up", "--all-cells", "--canary=cell_02"]).await?;
    check_failure(&said, "cell_02", 0);
    assert!(said.reason().contains(&format!("migration {LOCKS_THE_OUTBOX}")), "{}", said.reason());
    assert!(said.reason().contains("what may hold its locks"), "{}", said.reason());
    assert_eq!(said.cells("cell not tried"), ["cell_01", "cell_03"]);
    assert_eq!(behind(&url, &CELLS).await?, CELLS);

    transaction.rollback().await?;
    let said = run(&url, &["up", "--all-cells", "--canary=cell_02"]).await?;
    assert_eq!(said.code, Some(0), "{}", said.reason());
    assert_eq!(behind(&url, &CELLS).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_canary_that_is_not_as_it_must_be_stops_the_others() -> Result<()> {
    let database = behind_by(1).await?;
    let url = database.superuser_url();
    let session = database.connect().await?;
    session.batch_execute("REVOKE INSERT ON cell_01.orders FROM orders_write").await?;
    let said = run(&url, &["up", "--all-cells", "--canary"]).await?;
    check_failure(&said, "cell_01", 0);
    assert!(said.reason().contains("missing: INSERT ON TABLE orders TO orders_write"), "{}", said.reason());
    assert_eq!(behind(&url, &CELLS).await?, ["cell_02", "cell_03"]);

    session.batch_execute("GRANT INSERT ON cell_01.orders TO orders_write").await?;
    assert_eq!(run(&url, &["up", "--all-cells", "--canary"]).await?.code, Some(0));
    Ok(())
}

/// Those before the failure stay migrated, and the next run goes on there.
#[tokio::test]
async fn a_run_that_failed_in_the_middle_is_repeated() -> Result<()> {
    let database = behind_by(steps_from(LOCKS_THE_OUTBOX)?).await?;
    let url = database.superuser_url();
    let mut session = database.connect().await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute("LOCK TABLE cell_02.outbox IN ACCESS SHARE MODE").await?;
    let said = run(&url, &["up", "--all-cells"]).await?;
    check_failure(&said, "cell_02", 1);
    assert_eq!(
        (said.cells("cell migrated"), said.cells("cell not tried")),
        (vec!["cell_01"], vec!["cell_03"])
    );
    assert_eq!(behind(&url, &CELLS).await?, ["cell_02", "cell_03"]);
    transaction.rollback().await?;

    let said = run(&url, &["up", "--all-cells"]).await?;
    let counts: Vec<_> = said.lines.iter().filter_map(|line| line["migrations"].as_u64()).collect();
    assert_eq!((said.code, counts.first(), counts.len()), (Some(0), Some(&0), 3), "{}", said.reason());
    assert!(counts.iter().skip(1).all(|count| *count > 0), "{counts:?}");
    assert_eq!(behind(&url, &CELLS).await?, [""; 0]);
    Ok(())
}

const LOCK: &str = "LOCK TABLE cell_02.__diesel_schema_migrations IN SHARE UPDATE EXCLUSIVE MODE";

/// Until a migrator has found that another one has the lock.
async fn until_one_waits(database: &TestDatabase) -> Result<()> {
    let watcher = database.connect().await?;
    wait::until("the migrator to try in vain", Duration::from_secs(30), async || {
        let tried = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'migrate'
                AND query ~ 'has_table_privilege.''__diesel_schema_migrations'', ''UPDATE'''";
        let tried = watcher.query_one(tried, &[]).await.map_err(|error| error.to_string())?;
        if tried.get::<_, i64>(0) == 1 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn another_migrator_in_one_cell_holds_up_no_other_cell() -> Result<()> {
    let database = behind_by(1).await?;
    let url = database.superuser_url();
    let mut session = database.connect().await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    let waiting = {
        let url = url.clone();
        tokio::spawn(async move { run(&url, &["up", "--schema", "cell_02"]).await })
    };
    until_one_waits(&database).await?;
    for free in ["cell_01", "cell_03"] {
        assert_eq!(Cell::new(free)?.up(&url).await?.len(), 1, "{free}");
    }
    assert_eq!(behind(&url, &["cell_01", "cell_03"]).await?, [""; 0]);
    assert!(!waiting.is_finished());
    transaction.rollback().await?;
    let said = waiting.await??;
    assert_eq!(said.code, Some(0), "{}", said.reason());
    let waits =
        said.lines.iter().any(|line| line["message"] == "another migrator works in this schema: waiting");
    assert!(waits, "{:?}", said.lines);
    Ok(())
}

#[tokio::test]
async fn a_run_that_was_killed_is_repeated() -> Result<()> {
    let database = behind_by(steps_from(LOCKS_THE_OUTBOX)?).await?;
    let url = database.superuser_url();
    let mut session = database.connect().await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    let killed = {
        let url = url.clone();
        tokio::spawn(async move { run(&url, &["up", "--all-cells", "--canary"]).await })
    };
    until_one_waits(&database).await?;
    killed.abort();
    assert!(killed.await.is_err_and(|error| error.is_cancelled()));
    transaction.rollback().await?;
    assert_eq!(behind(&url, &CELLS).await?, ["cell_02", "cell_03"]);

    let said = run(&url, &["up", "--all-cells", "--canary"]).await?;
    assert_eq!((said.code, said.cells("cell migrated")), (Some(0), CELLS.to_vec()), "{}", said.reason());
    assert_eq!(behind(&url, &CELLS).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn options_that_do_not_go_together_are_refused() -> Result<()> {
    let database = database_with(&["cell_01"]).await?;
    let url = database.superuser_url();
    for (arguments, code, reason) in [
        (&["up", "--canary"][..], 2, "--all-cells"),
        (&["up", "--schema", "cell_01", "--canary"], 2, "--all-cells"),
        (&["up", "--all-cells", "--canary=cell_09"], 1, "--canary names no cell of this database"),
        (&["up", "--all-cells", "--schema", "cell_01"], 1, "--all-cells is without --schema"),
        (&["status", "--all-cells", "--schema", "cell_01"], 1, "--all-cells is without --schema"),
        (&["up", "--folder", "/tmp"], 1, "--folder needs --schema"),
        (&["down", "--all-cells"], 2, "--all-cells"),
        (&["doctor", "--all-cells"], 2, "--all-cells"),
    ] {
        let said = run(&url, arguments).await?;
        assert!(
            said.code == Some(code) && said.reason().contains(reason),
            "{arguments:?}: {}",
            said.reason()
        );
    }
    let empty = TestDatabase::create_empty().await?;
    let said = run(&empty.superuser_url(), &["up", "--all-cells"]).await?;
    assert!(said.code == Some(1) && said.reason().contains("the database has no cell"), "{}", said.reason());
    Ok(())
}
