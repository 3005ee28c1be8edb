//! How many may wait or watch at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use local::test_database::TestDatabase;
use local::wait;
use read_api::adapter::postgres::PgOrderWatch;
use read_api::live::{Live, SubscribeError};
use read_api::version_wait::{VersionWait, WaitError};
use runtime::database::DatabaseConfig;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::SOON;

fn watch(database: &TestDatabase) -> Result<Arc<PgOrderWatch>> {
    let vars = [("DATABASE_URL".to_owned(), database.url("orders_read_api"))].into();
    Ok(Arc::new(PgOrderWatch::new(DatabaseConfig::from_vars(&vars)?.open("test")?)))
}

#[tokio::test]
async fn one_stream_more_than_there_may_be_is_refused_until_another_one_ends() -> Result<()> {
    let database = TestDatabase::create().await?;
    let live = Live::start(watch(&database)?, Duration::from_millis(10), 2, CancellationToken::new());
    let first = live.subscribe("alice".to_owned(), None).await?;
    let _second = live.subscribe("bob".to_owned(), None).await?;
    let third = live.subscribe("carol".to_owned(), None).await;
    assert!(matches!(third, Err(SubscribeError::Full)));
    drop(first);
    wait::until("the place to become free", SOON, || async {
        live.subscribe("carol".to_owned(), None).await.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn one_waiter_more_than_there_may_be_is_refused_until_another_one_is_done() -> Result<()> {
    let database = TestDatabase::create().await?;
    let waits = VersionWait::start(watch(&database)?, 1);
    let first = waits.reach(Uuid::from_u128(1), 1, Duration::from_millis(300));
    // It is polled first, and so has its place.
    let (first, second) = tokio::join!(biased; first, waits.reach(Uuid::from_u128(2), 1, SOON));
    assert!(matches!((first, second), (Err(WaitError::Behind), Err(WaitError::TooMany))));
    let third = waits.reach(Uuid::from_u128(3), 1, Duration::from_millis(1)).await;
    assert!(matches!(third, Err(WaitError::Behind)), "the place is free again");
    Ok(())
}
