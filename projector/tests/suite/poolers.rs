//! Through a real connection pooler, in each of its modes.

use anyhow::Result;
use reqwest::StatusCode;
use testkit::pgbouncer::PoolMode;
use testkit::readiness::{until_not_ready_because, until_ready_is};

use crate::sessions::{project_and_park, start};
use crate::support::Scene;

#[tokio::test]
async fn over_a_pooler_in_session_mode_events_are_projected_and_parked() -> Result<()> {
    let scene = Scene::create().await?;
    let mut numbers = 1..;
    for (_pooler, url) in scene.database.behind_pgbouncer("orders_projector", PoolMode::Session)? {
        let (admin_url, _stop) = start(&url)?;
        for number in numbers.by_ref().take(5) {
            project_and_park(&scene, number).await?;
        }
        until_ready_is(&admin_url, StatusCode::OK).await?;
    }
    Ok(())
}

#[tokio::test]
async fn over_a_pooler_in_transaction_mode_it_is_not_ready_and_says_why() -> Result<()> {
    let scene = Scene::create().await?;
    for mode in [PoolMode::Transaction, PoolMode::Statement] {
        for (_pooler, url) in scene.database.behind_pgbouncer("orders_projector", mode)? {
            let (admin_url, _stop) = start(&url)?;
            until_not_ready_because(&admin_url, "use session mode").await?;
        }
    }
    Ok(())
}
