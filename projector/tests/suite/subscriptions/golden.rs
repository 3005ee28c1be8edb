//! The plans of the hot statements on subscriptions: by index, whatever the statistics say.

use anyhow::Result;
use diesel_async::SimpleAsyncConnection;
use projector::parked::operator::{self as parked, Owner, Selection};
use projector::subscription::{ReadModelSteps, operator};

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
    let decodable = "UPDATE subscription_parked
                 SET (kind, payload) = (SELECT kind, payload FROM event_log ORDER BY position LIMIT 1)";
    scene.session.batch_execute(decodable).await?;
    steps.retry_parked_once(10).await?;

    // An event that waits for a locked row.
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute("SELECT FROM counts FOR UPDATE", &[]).await?;
    scene.emit([event(1, 2)]).await?;
    scene.log_all().await?;
    // A success after a failure.
    scene.session.batch_execute("UPDATE subscriptions SET failures = 1").await?;
    steps.run_once(10).await?;
    scene.session.batch_execute("UPDATE subscription_parked SET next_attempt_at = now()").await?;
    steps.retry_parked_once(10).await?;
    lock.rollback().await?;

    let mut connection = database.session().await?;
    operator::list(&mut connection, "", 1).await?;
    let (owner, ids) = (Owner::Subscription("counts".to_owned()), Selection::Ids(vec![1]));
    parked::find(&mut connection, &owner, &ids).await?;
    parked::make_due(&mut connection, &owner, &ids).await?;
    parked::discard(&mut connection, &owner, &ids).await?;
    // An operator's command is planned when it runs.
    let many = "INSERT INTO subscription_parked (subscription, position, kind, payload, recorded_at, attempts, error)
                SELECT 'counts', 1, 'kind', '{}', now(), 1, 'e' FROM generate_series(1, 10000)";
    scene.session.batch_execute(many).await?;
    scene.session.batch_execute("ANALYZE subscription_parked").await?;
    connection.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
    for name in ["find_of_subscription", "make_due_of_subscription", "discard_of_subscription"] {
        check(&mut connection, name, "ARRAY[]::bigint[], 'counts'").await?;
    }

    // The generic plan, made when nothing favours an index: the statistics say that the tables are empty.
    scene
        .session
        .batch_execute("TRUNCATE subscription_parked, subscription_checkpoints, subscriptions")
        .await?;
    scene.session.batch_execute("VACUUM ANALYZE").await?;
    check(&mut connection, "lock_subscriptions", "'{counts}', 120000").await?;
    check(&mut connection, "read_checkpoints", "'{counts}', '{0}'").await?;
    check(&mut connection, "move_checkpoints", "'{counts}', '{1}', '{1}', 1").await?;
    check(&mut connection, "recover_subscriptions", "'{counts}'").await?;
    check(&mut connection, "is_any_logged_due", "'counts', 120000").await?;
    check(&mut connection, "claim_logged_due", "'counts', 100, 1000, 120000").await?;
    let columns = ["bigint", "text", "text", "timestamptz", "text", "int", "text", "bigint"];
    check(&mut connection, "park_logged", &format!("'counts', {}", arrays(&columns))).await?;
    check(&mut connection, "park_logged_again", &arrays(&["bigint", "int", "text", "bigint"])).await?;
    check(&mut connection, "remove_logged", "ARRAY[]::bigint[]").await?;
    check(&mut connection, "postpone_logged", "ARRAY[]::bigint[]").await?;
    check(&mut connection, "list_subscriptions", "'', NULL, 1").await
}
