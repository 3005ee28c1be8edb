//! The plans of the hot statements: by index or ctid, whatever the statistics say.

use std::time::Duration;

use anyhow::Result;
use diesel_async::SimpleAsyncConnection;
use projector::subscription::skipped_due;
use projector::webhooks::delivery::Backlogs;
use projector::webhooks::feeder;
use projector::webhooks::retry::{DeliveryPolicy, GiveUp};
use projector::webhooks::store::{correct_times, line_up};

use super::clock::LATEST;
use super::support::{LIMITS, add, deliver, finish, finished, take};
use crate::golden::{arrays, check};
use crate::support::{Scene, event};

#[tokio::test]
async fn the_plans_of_deliveries_match_the_golden_files_and_scan_no_table() -> Result<()> {
    let scene = Scene::create().await?;
    let database = scene.open_one()?;
    let mut connection = database.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[event(1, 1), event(2, 1)]).await?;
    feeder::rooms(&mut connection, vec![id], &Backlogs::default()).await?;
    skipped_due(&mut connection, vec!["webhook:1"]).await?;
    let policy = DeliveryPolicy {
        give_up: GiveUp { failures: 1, after: Duration::ZERO },
        streak_after: Duration::ZERO,
        ..DeliveryPolicy::default()
    };
    let leased = take(&mut connection, id, LIMITS).await?;
    finish(&mut connection, id, &[finished(&leased[0], 200), finished(&leased[1], 500)], &policy).await?;

    line_up(&mut connection, id, &Backlogs::default()).await?;
    correct_times(&mut connection, id, LATEST).await?;

    // The generic plan, made when nothing favours an index: the statistics say that the tables are empty.
    scene.session.batch_execute("DELETE FROM deliveries").await?;
    scene.session.batch_execute("VACUUM ANALYZE deliveries").await?;
    connection.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
    check(&mut connection, "lock_endpoint", "1").await?;
    check(&mut connection, "take", "1, now(), true, 8, 8, 1000, 1000").await?;
    check(&mut connection, "keep_endpoints", "ARRAY[1]").await?;
    check(&mut connection, "skipped_due", "ARRAY['webhook:1']").await?;
    check(&mut connection, "rooms", "ARRAY[1], ARRAY[now()], ARRAY[false], 1000, 10").await?;
    let columns = ["bigint", "uuid", "uuid", "text", "text", "timestamptz", "timestamptz", "text", "text"];
    check(&mut connection, "insert", &arrays(&columns)).await?;
    let keys = arrays(&["bigint", "uuid", "bigint"]);
    check(&mut connection, "remove_delivered", &format!("1, {keys}")).await?;
    check(&mut connection, "postpone", &format!("1, {keys}, ARRAY[]::bigint[]")).await?;
    check(&mut connection, "park_refused", &format!("1, 1, {keys}, ARRAY[]::text[], 'webhook:1'")).await?;
    check(&mut connection, "line_up", "1, now()").await?;
    check(&mut connection, "correct_deliveries", "1, 1, 1").await?;
    check(&mut connection, "forget_successes_ahead", "1").await?;
    check(&mut connection, "record_success", "1, 10, 1, 1").await?;
    check(&mut connection, "record_failures", "1, 1, true, NULL, 10, 1, false, 1, 1, NULL, 0").await
}
