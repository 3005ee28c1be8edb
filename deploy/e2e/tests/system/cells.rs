//! Two cells in one database: each has its processes, and neither sees or delays the other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use migrate::Cell;
use reqwest::StatusCode;
use testkit::cell::{CellScene, id_of};
use testkit::test_database::TestDatabase;

const ORDERS: usize = 10;

/// Within this time, an order has reached everything, beside a cell whose tables are locked.
const PROMPT: Duration = Duration::from_secs(10);

/// Makes the cell, and starts its processes.
async fn start(database: &TestDatabase, cell: &'static str) -> Result<CellScene> {
    Cell::new(cell)?.up(&database.superuser_url()).await?;
    // As it stands in `DATABASE_URL`.
    CellScene::start(cell, |role| format!("{}?options=-c%20search_path%3D{cell}", database.url(role))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_cells_work_at_the_same_time_and_neither_sees_the_other() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let one = start(&database, "cell_01").await?;
    let two = start(&database, "cell_02").await?;
    let (in_one, in_two) = tokio::join!(one.trade(ORDERS), two.trade(ORDERS));
    let ((orders_of_one, stream_of_one), (orders_of_two, stream_of_two)) = (in_one?, in_two?);
    assert_eq!(orders_of_one, orders_of_two, "the same keys make the same ids: each cell has its own order");
    assert!(!stream_of_one.contains("cell_02") && !stream_of_two.contains("cell_01"));

    let checkpoint = one.checkpoint().await?;
    assert_eq!(one.go_on(&checkpoint).await?, StatusCode::OK);
    assert_eq!(two.go_on(&checkpoint).await?, StatusCode::BAD_REQUEST, "it is of another cell");

    let (id, _) = one.first_event(None).await?;
    assert_ne!(one.first_event(Some(&id)).await?.1, "snapshot", "{id}");
    assert_eq!(two.first_event(Some(&id)).await?.1, "snapshot", "it is of another cell: {id}");

    // An order that only the first one has.
    let only = one.place("only in the first").await?;
    let id = &id_of(&only)?;
    one.list(1, "placed").await?;
    assert_eq!((one.read(id).await?, two.read(id).await?), (StatusCode::OK, StatusCode::NOT_FOUND));
    assert_eq!(two.pay(id).await?, StatusCode::NOT_FOUND);
    assert_eq!(one.place("only in the first").await?, only, "a repeat is recognized");
    assert_eq!((one.feed(2 * ORDERS + 1).await?.len(), two.feed(2 * ORDERS).await?.len()), (21, 20));
    assert_eq!((one.sent(2 * ORDERS + 1).await?.len(), two.sent(2 * ORDERS).await?.len()), (21, 20));

    let session = database.connect().await?;
    for (cell, orders) in [("cell_01", 11), ("cell_02", 10)] {
        let count = format!(
            "SELECT (SELECT count(*) FROM {cell}.orders), (SELECT count(*) FROM {cell}.order_summary)"
        );
        let row = session.query_one(&count, &[]).await?;
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (orders, orders), "{cell}");
    }
    let in_public: i64 = session
        .query_one("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", &[])
        .await?
        .get(0);
    assert_eq!(in_public, 0, "no cell has put anything into public");
    Ok(())
}

/// All of its tables are locked by a transaction that has written to its outbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_in_one_cell_do_not_hold_up_the_other() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let one = start(&database, "cell_01").await?;
    let two = start(&database, "cell_02").await?;
    let mut session = database.connect().await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute("INSERT INTO cell_01.outbox (kind, payload) VALUES ('k', '{}')").await?;
    for table in
        ["orders", "outbox", "order_summary", "event_log", "event_log_state", "deliveries", "subscriptions"]
    {
        transaction.batch_execute(&format!("LOCK TABLE cell_01.{table} IN ACCESS EXCLUSIVE MODE")).await?;
    }
    // Ids that are never used: the feed passes them once their transaction has ended.
    let other = database.connect().await?;
    other
        .batch_execute("BEGIN; INSERT INTO cell_02.outbox (kind, payload) VALUES ('k', '{}'); ROLLBACK")
        .await?;

    let start = Instant::now();
    let placed = BTreeSet::from([id_of(&two.place("beside").await?)?]);
    assert_eq!(two.list(1, "placed").await?, placed);
    assert_eq!(two.sent(1).await?, two.feed(1).await?);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    assert!(one.place("locked").await.is_err(), "the first cell is locked");

    transaction.rollback().await?;
    one.place("locked").await?;
    assert_eq!(one.list(1, "placed").await?.len(), 1);
    Ok(())
}
