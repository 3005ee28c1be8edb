//! What is done each minute.

use anyhow::Result;

use super::support::{Running, add, config, until_count};
use crate::support::Scene;

#[tokio::test]
async fn what_fails_for_one_endpoint_is_done_for_the_others() -> Result<()> {
    let scene = Scene::create().await?;
    let ids = {
        let mut connection = scene.open()?.session().await?;
        let first = add(&mut connection, "https://hooks.example/").await?.id;
        (first, add(&mut connection, "https://hooks.example/").await?.id)
    };
    assert!(ids.0 < ids.1);
    let ahead = "UPDATE webhook_endpoints SET hold_until = now() + interval '10 days'";
    scene.session.batch_execute(ahead).await?;
    let lock = format!("BEGIN; SELECT FROM webhook_endpoints WHERE id = {} FOR UPDATE", ids.0);
    scene.session.batch_execute(&lock).await?;
    let running = Running::start(&config(&scene)?)?;
    let corrected = format!("webhook_endpoints WHERE id = {} AND hold_until < now()", ids.1);
    until_count(&scene, &corrected, 1).await?;
    scene.session.batch_execute("COMMIT").await?;
    running.stop().await
}
