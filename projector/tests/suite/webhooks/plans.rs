//! The plans of the hot statements: by index or ctid, whatever the statistics say.

use anyhow::Result;
use diesel_async::SimpleAsyncConnection;
use projector::webhooks::delivery;
use projector::webhooks::retry::DeliveryPolicy;

use super::support::{LIMITS, add, deliver, finished, take};
use crate::golden::{arrays, check};
use crate::support::{Scene, event};

#[tokio::test]
async fn the_plans_of_deliveries_match_the_golden_files_and_scan_no_table() -> Result<()> {
    let scene = Scene::create().await?;
    let database = scene.open_one()?;
    let mut connection = database.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[event(1, 1), event(2, 1)]).await?;
    delivery::count_waiting(&mut connection, id, 1).await?;
    let policy = DeliveryPolicy::default();
    let leased = take(&mut connection, id, LIMITS).await?;
    delivery::finish(
        &mut connection,
        id,
        &[finished(&leased[0], 200), finished(&leased[1], 500)],
        0,
        &policy,
    )
    .await?;

    // The generic plan, made when nothing favours an index: the statistics say that the tables are empty.
    scene.session.batch_execute("DELETE FROM deliveries").await?;
    scene.session.batch_execute("VACUUM ANALYZE deliveries").await?;
    connection.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
    check(&mut connection, "lock_endpoint", "1").await?;
    check(&mut connection, "take", "1, 8, 8, 1000").await?;
    check(&mut connection, "count_waiting", "1, 1000").await?;
    let keys = arrays(&["bigint", "uuid", "bigint"]);
    check(&mut connection, "remove_delivered", &format!("{keys}, 1")).await?;
    check(&mut connection, "postpone", &format!("{keys}, ARRAY[]::bigint[], 1")).await?;
    check(&mut connection, "park_refused", &format!("{keys}, ARRAY[]::text[], 1, 1, 'webhook:1'")).await?;
    check(&mut connection, "record_success", "1").await?;
    check(&mut connection, "record_failures", "NULL, 1, false, 1, 1").await
}
