//! The low-water mark against a real PostgreSQL.

use anyhow::Result;
use service_kit::database::DatabaseConfig;
use testkit::test_database::TestDatabase;

use super::queries::ServerRun;
use super::*;
use crate::database::open;

async fn scene() -> Result<(TestDatabase, Database, LowWaterMark)> {
    let own = TestDatabase::create().await?;
    let vars = vec![("DATABASE_URL".to_owned(), own.url("orders_projector"))];
    let database = open(&DatabaseConfig::from_vars(&vars)?, "test")?;
    Ok((own, database, LowWaterMark::new()))
}

/// Advances until the mark is `expected`, or the deadline has passed. Transactions of other tests on the same
/// server may hold it up.
async fn advance_until(mark: &LowWaterMark, database: &Database, expected: i64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while mark.get() != expected {
        mark.advance_after_failure(database).await?;
        anyhow::ensure!(Instant::now() < deadline, "the mark is {}, not {expected}", mark.get());
    }
    Ok(())
}

#[tokio::test]
async fn it_passes_many_ids_in_several_scans_and_stops_at_the_first_event() -> Result<()> {
    let (own, database, mark) = scene().await?;
    let session = own.connect().await?;
    session.batch_execute("SELECT setval('outbox_id_seq', 1000000)").await?;
    session.batch_execute("INSERT INTO outbox (kind, payload) VALUES ('kind', '{}')").await?;
    advance_until(&mark, &database, 1_000_001).await?;
    session.batch_execute("DELETE FROM outbox").await?;
    advance_until(&mark, &database, 1_000_002).await
}

#[tokio::test]
async fn a_long_transaction_that_writes_no_event_does_not_hold_it_up() -> Result<()> {
    let (own, database, mark) = scene().await?;
    let (session, mut other) = (own.connect().await?, own.connect().await?);
    let long = other.transaction().await?;
    long.batch_execute("SELECT pg_current_xact_id()").await?;
    for newest in [7, 9, 1_000_000] {
        session.execute("SELECT setval('outbox_id_seq', $1)", &[&newest]).await?;
        advance_until(&mark, &database, newest + 1).await?;
    }
    Ok(long.commit().await?)
}

#[tokio::test]
async fn a_long_transaction_that_has_allocated_an_id_holds_it_up() -> Result<()> {
    let (own, database, mark) = scene().await?;
    let (session, mut other) = (own.connect().await?, own.connect().await?);
    for allocate in [
        "INSERT INTO outbox (kind, payload) VALUES ('kind', '{}') RETURNING id",
        "SELECT nextval('outbox_id_seq') AS id",
    ] {
        let long = other.transaction().await?;
        let id: i64 = long.query_one(allocate, &[]).await?.get("id");
        session.execute("SELECT setval('outbox_id_seq', $1)", &[&(id + 100)]).await?;
        for _ in 0..10 {
            mark.advance_after_failure(&database).await?;
            assert!(mark.get() <= id, "{allocate}: the mark is {}, past {id}", mark.get());
        }
        let insert = "INSERT INTO outbox (id, kind, payload) OVERRIDING SYSTEM VALUE
                      VALUES ($1, 'kind', '{}') ON CONFLICT DO NOTHING";
        long.execute(insert, &[&id]).await?;
        long.commit().await?;
        advance_until(&mark, &database, id).await?;
        session.batch_execute("DELETE FROM outbox").await?;
        advance_until(&mark, &database, id + 101).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_recheck_finds_an_event_below_the_mark_and_moves_it_back() -> Result<()> {
    let (own, database, mark) = scene().await?;
    let session = own.connect().await?;
    session.batch_execute("SELECT setval('outbox_id_seq', 200000)").await?;
    advance_until(&mark, &database, 200_001).await?;
    let missed =
        "INSERT INTO outbox (id, kind, payload) OVERRIDING SYSTEM VALUE VALUES (170000, 'kind', '{}')";
    session.batch_execute(missed).await?;

    mark.advance_after_failure(&database).await?;
    assert_eq!(mark.get(), 200_001, "a recheck is not due");
    mark.state.lock().await.next_recheck = Instant::now();
    advance_until(&mark, &database, 170_000).await
}

#[tokio::test]
async fn a_sequence_that_went_back_and_another_server_reset_the_mark() -> Result<()> {
    let (own, database, mark) = scene().await?;
    let session = own.connect().await?;
    session.batch_execute("SELECT setval('outbox_id_seq', 500)").await?;
    advance_until(&mark, &database, 501).await?;
    session.batch_execute("SELECT setval('outbox_id_seq', 20)").await?;
    advance_until(&mark, &database, 0).await?;

    advance_until(&mark, &database, 21).await?;
    let other = ServerRun { started: 1, stats_reset: 1 };
    let allocated = Allocated { newest: 20, lowest: 1, xid: None, run: other };
    mark.state.lock().await.progress.record_allocated(allocated);
    advance_until(&mark, &database, 0).await
}
