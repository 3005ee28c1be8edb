//! Limits of waits and streams, and that slow lists do not delay them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use read_api::adapter::postgres::PgOrderWatch;
use read_api::live::{Live, SubscribeError};
use read_api::model::WantedVersion;
use read_api::version_wait::{VersionWait, WaitError};
use reqwest::StatusCode;
use service_kit::database::DatabaseConfig;
use service_kit::shares::Held;
use service_kit::tasks::CriticalTasks;
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::support::{Api, SOON, change, order};

fn watch(database: &TestDatabase) -> Result<Arc<PgOrderWatch>> {
    let vars = [("DATABASE_URL".to_owned(), database.url("orders_read_api"))].into();
    Ok(Arc::new(PgOrderWatch::new(DatabaseConfig::from_vars(&vars)?.open("test")?)))
}

#[tokio::test]
async fn a_stream_beyond_the_maximum_is_refused_until_another_one_ends() -> Result<()> {
    let database = TestDatabase::create().await?;
    let live = Live::start(
        watch(&database)?,
        Duration::from_millis(10),
        2,
        &CriticalTasks::new(CancellationToken::new()),
    );
    let first = live.subscribe("alice".to_owned(), None).await?;
    let _second = live.subscribe("bob".to_owned(), None).await?;
    let third = live.subscribe("carol".to_owned(), None).await;
    assert!(matches!(third, Err(SubscribeError::Full)));
    drop(first);
    wait::until("a free slot", SOON, || async {
        live.subscribe("carol".to_owned(), None).await.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    Ok(())
}

fn wanted(order: u128) -> WantedVersion {
    WantedVersion { order_id: Uuid::from_u128(order), version: 1, customer_id: None }
}

#[tokio::test]
async fn a_wait_beyond_the_maximum_is_refused_until_another_one_ends() -> Result<()> {
    let database = TestDatabase::create().await?;
    let waits = VersionWait::start(watch(&database)?, 1, &CriticalTasks::new(CancellationToken::new()));
    let uncounted = || Ok(Held::uncounted());
    let first = waits.reach(wanted(1), Duration::from_millis(300), uncounted);
    // `first` is polled first, and takes the slot.
    let (first, second) = tokio::join!(biased; first, waits.reach(wanted(2), SOON, uncounted));
    assert!(matches!((first, second), (Err(WaitError::Behind { .. }), Err(WaitError::TooMany))));
    let third = waits.reach(wanted(3), Duration::from_millis(1), uncounted).await;
    assert!(matches!(third, Err(WaitError::Behind { .. })), "the slot is free again");
    Ok(())
}

/// Simulates a filter that few of a customer's million orders match: each read of an order of `slow` takes ten
/// seconds. The order is old, so polls for changes do not read it.
const SLOW_ORDERS: &str = "UPDATE order_summary SET changed_in = 0 WHERE customer_id = 'slow';
    ALTER TABLE order_summary ENABLE ROW LEVEL SECURITY;
    CREATE POLICY slow ON order_summary TO orders_read_api
        USING (customer_id <> 'slow' OR pg_sleep(10) IS NOT NULL)";

#[tokio::test]
async fn slow_filtered_lists_delay_only_each_other() -> Result<()> {
    let vars = [("DATABASE_POOL_SIZE", "2"), ("DATABASE_STATEMENT_TIMEOUT_MS", "60000")];
    let api = Api::start_with(&vars).await?;
    api.insert(&[(1, "slow", 0), (2, "alice", 0)]).await?;
    let session = api.database.connect().await?;
    session.batch_execute(SLOW_ORDERS).await?;

    let client = reqwest::Client::new();
    let slow = format!("{}/customers/slow/orders?status=placed", api.url);
    let _slow = [(); 2].map(|()| AbortOnDropHandle::new(tokio::spawn(client.get(&slow).send())));
    wait::until("slow lists to occupy the pool", SOON, || async {
        let sleeping = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event = 'PgSleep'";
        let row = session.query_one(sleeping, &[]).await.map_err(|error| error.to_string())?;
        Some(()).filter(|()| row.get::<_, i64>(0) == 2).ok_or_else(|| format!("{row:?}"))
    })
    .await?;
    let filtered = api.get("/customers/alice/orders?status=placed").await?;
    assert_eq!(filtered.status(), StatusCode::SERVICE_UNAVAILABLE, "503 within the pool's time limit");

    let others = async {
        let later = format!("{}{}?min_version=2", api.url, order(2));
        let waiting = tokio::spawn(client.get(later).header("prefer", "wait=10").send());
        assert_eq!(api.probe("/readyz").await?.status(), StatusCode::OK);
        for path in ["/customers/alice/orders", &order(2), &format!("{}?min_version=1", order(2))] {
            assert_eq!(api.get(path).await?.status(), StatusCode::OK, "{path}");
        }
        let mut events = api.watch("alice", None).await?;
        assert_eq!(events.next().await?.context("no snapshot")?.name, "snapshot");
        // By now the only HTTP thread has started the wait.
        change(&session, 2, 2).await?;
        assert_eq!(waiting.await??.status(), StatusCode::OK);
        while events.next_order().await?.0 != (2, 2) {}
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(5), others).await.context("slow lists delay them")?
}
