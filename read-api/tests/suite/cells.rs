//! Streams of several cells in one database: the transaction ids and the timeline are those of the server.

use anyhow::{Context, Result};
use migrate::Cell;
use reqwest::StatusCode;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::readiness;
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;

use crate::failover::{connect, promote};
use crate::support::plans::{cost, statement};
use crate::support::{Replica, insert, insert_many};

const CELLS: [&str; 3] = ["public", "cell_01", "cell_02"];

/// Beyond this many rows of other histories, a position does not look for the timeline.
const LOOKED_AT: i32 = 1_000;

fn in_cell(url: &str, cell: &str) -> String {
    format!("{url}?options=-c%20search_path%3D{cell}")
}

/// Uses the tables of this cell from now on.
async fn enter(session: &Client, cell: &str) -> Result<()> {
    Ok(session.batch_execute(&format!("SET search_path = {cell}")).await?)
}

/// A database with all cells.
async fn with_cells() -> Result<TestDatabase> {
    let database = TestDatabase::create().await?;
    for cell in CELLS {
        Cell::new(cell)?.up(&database.superuser_url()).await?;
    }
    Ok(database)
}

/// The id of the first event of a stream that resumes after `last_event_id`, and the name of that event.
async fn first_event(replica: &Replica, last_event_id: Option<&str>) -> Result<(String, String)> {
    let event = replica.watch("alice", last_event_id).await?.next().await?.context("no event")?;
    Ok((event.id, event.name))
}

fn timeline(id: &str) -> Option<&str> {
    id.split('.').nth(1)
}

#[tokio::test]
async fn a_position_of_one_cell_is_refused_by_the_others() -> Result<()> {
    let database = with_cells().await?;
    let session = database.connect().await?;
    let mut replicas = Vec::new();
    for cell in CELLS {
        enter(&session, cell).await?;
        insert(&session, &[(1, "alice", 1)]).await?;
        let replica = Replica::start(&in_cell(&database.url("orders_read_api"), cell), &[])?;
        let (id, _) = first_event(&replica, None).await?;
        assert_eq!(timeline(&id), Some("1"), "{cell}: {id}");
        replicas.push((cell, id, replica));
    }
    for (cell, _, replica) in &replicas {
        for (other, id, _) in &replicas {
            let (_, name) = first_event(replica, Some(id)).await?;
            assert_eq!(name == "snapshot", cell != other, "{other}'s in {cell}: {name} after {id}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_failover_is_noticed_in_a_cell() -> Result<()> {
    let a = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
    Cell::new("cell_01")?.up(&a.superuser_url("postgres")).await?;
    let at_a = connect(&a).await?;
    enter(&at_a, "cell_01").await?;
    insert(&at_a, &[(1, "alice", 1)]).await?;
    let replica_at = |server: &PrivateServer| {
        Replica::start(&in_cell(&server.url("orders_read_api", "postgres"), "cell_01"), &[])
    };
    let (before, _) = first_event(&replica_at(&a)?, None).await?;
    assert_eq!(timeline(&before), Some("1"), "{before}");

    let b = PrivateServer::start_standby_of(&a)?;
    drop(a);
    let at_b = connect(&b).await?;
    promote(&at_b).await?;
    enter(&at_b, "cell_01").await?;
    insert(&at_b, &[(2, "alice", 2)]).await?;
    let (after, name) = first_event(&replica_at(&b)?, Some(&before)).await?;
    assert_eq!((timeline(&after), name.as_str()), (Some("2"), "snapshot"), "{after}");
    Ok(())
}

/// The search for the timeline ends at the first row.
#[tokio::test]
async fn a_position_reads_no_more_in_a_cell_than_in_public() -> Result<()> {
    let database = with_cells().await?;
    let session = database.connect().await?;
    for cell in CELLS {
        enter(&session, cell).await?;
        insert_many(&session, "alice", 1..2 * LOOKED_AT).await?;
        session.batch_execute("VACUUM ANALYZE order_summary").await?;
        session.batch_execute(&format!("PREPARE position_in_{cell} AS {}", statement("position")?)).await?;
        let (pages, rows) = cost(&session, &format!("position_in_{cell}"), "").await?;
        assert!(rows == 1 && pages <= 12, "{cell}: {pages} pages for {rows} position");
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_from_before_cells_have_numbers_is_named() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    session.batch_execute("ALTER FUNCTION cell_number() RENAME TO another").await?;
    let replica = Replica::start(&database.url("orders_read_api"), &[])?;
    let missing = "the database lacks the function cell_number: apply the migrations of this version";
    readiness::until_not_ready_because(&replica.admin_url, missing).await?;
    session.batch_execute("ALTER FUNCTION another() RENAME TO cell_number").await?;
    replica.until_ready_is(StatusCode::OK).await
}
