//! What one cell does leaves the others as they are.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use migrate::Cell;
use testkit::owned_database::OwnedDatabase;
use testkit::privileges;
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;

use crate::support::{database_with, dump_of, steps_from};

const HISTORY: &str = "2026-11-29-000400_give_each_cell_a_history_of_its_own";

const ROLES: [&str; 4] = ["orders_write_api", "orders_projector", "orders_read_api", "orders_scaler"];

#[tokio::test]
async fn a_cell_has_the_same_tables_and_grants_as_public() -> Result<()> {
    let database = TestDatabase::create().await?;
    let public = dump_of(&database, "public")?;
    Cell::new("cell_01")?.up(&database.superuser_url()).await?;
    assert_eq!(dump_of(&database, "public")?, public, "migrating a cell changes no other");
    let session = database.connect().await?;
    session.batch_execute("CREATE ROLE stranger_of_cells").await?;
    let of = async |schema: &str| privileges::matrix(&session, &ROLES, "stranger_of_cells", schema).await;
    let (one, other) = (of("public").await, of("cell_01").await);
    session.batch_execute("DROP ROLE stranger_of_cells").await?;
    assert_eq!(one?.replace("public", "cell_01"), other?);
    for cell in ["public", "cell_01"] {
        let report = Cell::new(cell)?.doctor(&database.superuser_url()).await?;
        ensure!(!report.has_errors(), "{cell}: {report}");
    }
    Ok(())
}

/// Each way back and up again, in a database whose roles nothing else keeps.
#[tokio::test]
async fn reverting_a_cell_leaves_the_others_with_their_roles_and_rights() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    let [first, second] = [Cell::new("public")?, Cell::new("cell_01")?];
    first.up(&owned.url()).await?;
    second.up(&owned.url()).await?;
    let state = privileges::state(&owned.superuser).await?;
    for (reverted, other) in [(&second, &first), (&first, &second)] {
        let steps = reverted.down(&owned.url(), usize::MAX).await?.len();
        let report = other.doctor(&owned.url()).await?;
        ensure!(!report.has_errors(), "without {reverted:?}: {report}");
        for role in ROLES {
            owned.connect_as(role).await.with_context(|| format!("{role} without {reverted:?}"))?;
        }
        assert_eq!(reverted.up(&owned.url()).await?.len(), steps);
        assert_eq!(privileges::state(&owned.superuser).await?, state, "{reverted:?}, back again");
    }
    Ok(())
}

#[tokio::test]
async fn the_last_cell_takes_its_roles_along() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    let roles = "SELECT string_agg(rolname, ' ') FROM pg_roles
                 WHERE rolname ~ '^orders_' AND rolname NOT IN ('orders_owner', 'orders_migrate')";
    for schema in ["cell_01", "cell_02"] {
        Cell::new(schema)?.up(&owned.url()).await?;
    }
    for schema in ["cell_02", "cell_01"] {
        Cell::new(schema)?.down(&owned.url(), usize::MAX).await?;
    }
    let left: Option<String> = owned.superuser.query_one(roles, &[]).await?.get(0);
    assert_eq!(left, None);
    Ok(())
}

#[tokio::test]
async fn each_migration_of_a_cell_can_be_undone_beside_another() -> Result<()> {
    let database = database_with(&["cell_01"]).await?;
    let url = database.superuser_url();
    let (cell, other) = (Cell::new("cell_02")?, dump_of(&database, "cell_01")?);
    let all = cell.up(&url).await?.len();
    let full = dump_of(&database, "cell_02")?;
    for step in 1..=all {
        assert_eq!(cell.down(&url, step).await?.len(), step);
        assert_eq!(cell.up(&url).await?.len(), step);
        assert_eq!(dump_of(&database, "cell_02")?, full, "{step} steps back");
    }
    assert_eq!(dump_of(&database, "cell_01")?, other);
    Ok(())
}

/// The roles, the rights on the database and the catalog are shared.
#[tokio::test]
async fn two_cells_are_made_at_the_same_time() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    let cells = ["cell_01", "cell_02", "cell_03"].map(Cell::new);
    let url = owned.url();
    let [one, two, three] = cells;
    let (one, two, three) = (one?, two?, three?);
    let done = tokio::join!(one.up(&url), two.up(&url), three.up(&url));
    assert_eq!((done.0?.len(), done.1?.len()), (done.2?.len(), one.down(&url, usize::MAX).await?.len()));
    Ok(())
}

async fn history_of(session: &Client, cell: &str) -> Result<i64> {
    let histories = format!(
        "SELECT {cell}.current_history(), state.history, log.history
         FROM {cell}.event_log_state AS state, {cell}.event_log_histories AS log"
    );
    let row = session.query_one(&histories, &[]).await?;
    let [now, state, log] = [0, 1, 2].map(|column| row.get::<_, i64>(column));
    ensure!((now, now) == (state, log), "{cell}: {now}, {state}, {log}");
    Ok(now)
}

/// A position that a client has of one cell is not taken for one of another.
#[tokio::test]
async fn each_cell_has_a_history_of_its_own() -> Result<()> {
    let database = TestDatabase::create().await?;
    let url = database.superuser_url();
    let session = database.connect().await?;
    let mut histories = BTreeSet::new();
    for cell in ["public", "cell_01", "cell_02"] {
        Cell::new(cell)?.up(&url).await?;
        ensure!(histories.insert(history_of(&session, cell).await?), "{cell}");
    }
    // The low half is the timeline: of a failover they learn as before.
    let timelines: BTreeSet<_> = histories.iter().map(|history| history & 0xffff_ffff).collect();
    assert_eq!(timelines, BTreeSet::from([1]));
    Ok(())
}

/// Writes an event, and logs it. Returns the current history.
async fn log_event(session: &Client, cell: &str) -> Result<i64> {
    let event =
        format!("INSERT INTO {cell}.outbox (kind, payload) VALUES ('k', '{{}}'); DELETE FROM {cell}.outbox");
    session.batch_execute(&event).await?;
    Ok(session.query_one(&format!("SELECT {cell}.current_history()"), &[]).await?.get(0))
}

/// So that positions of its clients stay valid, in this cell only.
#[tokio::test]
async fn a_cell_with_events_gets_its_own_history_as_in_a_failover_each_time() -> Result<()> {
    let database = database_with(&["cell_01", "cell_02"]).await?;
    let (url, session) = (database.superuser_url(), database.connect().await?);
    let (mut own, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for name in ["cell_01", "cell_02"] {
        let (cell, mut expected) = (Cell::new(name)?, Vec::new());
        for position in [0, 2] {
            cell.down(&url, steps_from(HISTORY)?).await?;
            let reverted = log_event(&session, name).await?;
            cell.up(&url).await?;
            let migrated = log_event(&session, name).await?;
            shared.insert(reverted);
            own.insert(migrated);
            expected.extend([(reverted, position), (migrated, position + 1)]);
        }
        let histories =
            format!("SELECT history, after_position FROM {name}.event_log_histories ORDER BY number");
        let histories = session.query(&histories, &[]).await?;
        let histories: Vec<(i64, i64)> = histories.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(histories, expected, "{name}");
    }
    assert_eq!((shared.len(), own.len()), (1, 2), "{shared:?}, {own:?}");
    ensure!(own.is_disjoint(&shared), "{shared:?}, {own:?}");
    Ok(())
}
