//! The node of Citus on which a process is connected need not own the schema, or no longer.

use anyhow::Result;
use reqwest::StatusCode;
use testkit::test_database::TestDatabase;
use testkit::{citus_catalogs, readiness};

use crate::support::{Api, Replica, order, place_and_pay};

const REASON: &str = "Another node of Citus owns the schema; the log says which.";

#[tokio::test]
async fn after_the_schema_has_moved_away_nothing_is_stored_until_it_is_back() -> Result<()> {
    let api = Api::start().await?;
    api.until_ready_is(StatusCode::OK).await?;
    let superuser = api.database.connect().await?;
    citus_catalogs::create(&superuser).await?;
    place_and_pay(&api.url).await?;

    superuser.batch_execute("UPDATE pg_dist_placement SET groupid = 2").await?;
    readiness::until_not_ready_because(&api.admin_url, REASON).await?;
    assert_eq!(api.place(&order()).await?.status(), StatusCode::SERVICE_UNAVAILABLE);

    superuser.batch_execute("UPDATE pg_dist_placement SET groupid = 1").await?;
    api.until_ready_is(StatusCode::OK).await?;
    place_and_pay(&api.url).await
}

#[tokio::test]
async fn a_process_that_starts_on_a_wrong_node_is_not_ready() -> Result<()> {
    let database = TestDatabase::create().await?;
    let superuser = database.connect().await?;
    citus_catalogs::create(&superuser).await?;
    superuser.batch_execute("UPDATE pg_dist_local_group SET groupid = 0").await?;
    let replica = Replica::start(&database.url("orders_write_api"), &[])?;
    readiness::until_not_ready_because(&replica.admin_url, REASON).await?;

    // A schema that is not distributed is on the coordinator.
    superuser.batch_execute("DELETE FROM pg_dist_schema").await?;
    replica.until_ready_is(StatusCode::OK).await?;
    place_and_pay(&replica.url).await
}
