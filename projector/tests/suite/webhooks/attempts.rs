//! How long attempts are kept.

use anyhow::Result;
use projector::webhooks::store::{AttemptLimits, forget_attempts};

use super::support::{add, count};
use crate::support::Scene;

const LIMITS: AttemptLimits = AttemptLimits { kept_max: 10, counted_every: 5, removed_max: 3 };

#[tokio::test]
async fn old_attempts_and_those_beyond_the_limit_are_removed_and_counted_seldom() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    let other = add(&mut connection, "https://hooks.example/").await?.id;
    let attempted = async |endpoint: i64, attempts: i32, ago: &str| -> Result<()> {
        let insert = format!(
            "INSERT INTO webhook_attempts (endpoint, position, event_id, attempted_at, latency_ms)
             SELECT {endpoint}, number, gen_random_uuid(), now() - interval '{ago}', 1
             FROM generate_series(1, {attempts}) AS number"
        );
        Ok(scene.session.batch_execute(&insert).await?)
    };
    attempted(other, 1, "8 days").await?;
    attempted(id, 4, "8 days").await?;
    attempted(id, 9, "6 days").await?;
    let mut counted = None;
    for (added, removed) in [(0, [3, 1, 0]), (4, [0, 0, 0]), (1, [3, 1, 0])] {
        attempted(id, added, "0 days").await?;
        for removed in removed {
            let (found, next) = forget_attempts(&mut connection, id, LIMITS, counted).await?;
            assert_eq!(found, removed, "after {added} more");
            counted = next;
        }
    }
    let kept = format!("webhook_attempts WHERE endpoint = {id}");
    assert_eq!(count(&scene, &kept).await?, 10);
    assert_eq!(count(&scene, &format!("{kept} AND attempted_at > now() - interval '1 hour'")).await?, 5);
    assert_eq!(count(&scene, &format!("webhook_attempts WHERE endpoint = {other}")).await?, 1);
    Ok(())
}
