//! The plans of the hot statements on subscriptions: by index, whatever the statistics say.

use anyhow::Result;
use diesel_async::SimpleAsyncConnection;
use projector::subscription::ReadModelSteps;

use super::support::Counts;
use crate::golden::{arrays, check};
use crate::support::{AT_ONCE, Scene, event};

#[tokio::test]
async fn the_plans_of_the_statements_on_subscriptions_match_the_golden_files_and_scan_no_table() -> Result<()>
{
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    scene.emit([event(1, 1)]).await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    scene.log_all().await?;
    let database = scene.open_one()?;
    let steps = ReadModelSteps::new(database.clone(), Box::new(Counts("counts")), AT_ONCE, 1 << 20);
    steps.run_once(10).await?;
    steps.retry_parked_once(10).await?;
    // The next attempt succeeds.
    let event = "UPDATE subscription_parked
                 SET (kind, payload) = (SELECT kind, payload FROM event_log ORDER BY position LIMIT 1)";
    scene.session.batch_execute(event).await?;
    steps.retry_parked_once(10).await?;

    let mut connection = database.session().await?;
    // The generic plan, made when nothing favours an index: the statistics say that the tables are empty.
    scene.session.batch_execute("TRUNCATE subscription_parked, subscriptions").await?;
    scene.session.batch_execute("VACUUM ANALYZE").await?;
    connection.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
    check(&mut connection, "claim_subscription", "'counts'").await?;
    check(&mut connection, "move_checkpoint", "1, 1, 'counts'").await?;
    check(&mut connection, "is_any_logged_due", "'counts'").await?;
    check(&mut connection, "claim_logged_due", "'counts', 100, 1000").await?;
    let columns = ["bigint", "text", "text", "timestamptz", "int", "text", "bigint"];
    check(&mut connection, "park_logged", &format!("'counts', {}", arrays(&columns))).await?;
    check(&mut connection, "park_logged_again", &arrays(&["bigint", "int", "text", "bigint"])).await?;
    check(&mut connection, "remove_logged", "ARRAY[]::bigint[]").await
}
