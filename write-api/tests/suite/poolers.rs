//! Behind `PgBouncer`, in each of its modes.

use anyhow::Result;
use reqwest::StatusCode;
use testkit::pgbouncer::PoolMode;
use testkit::readiness::until_not_ready_because;
use testkit::test_database::TestDatabase;

use crate::support::{Replica, place_and_pay};

#[tokio::test]
async fn behind_a_pooler_in_session_mode_orders_are_placed() -> Result<()> {
    let database = TestDatabase::create().await?;
    for (_pooler, url) in database.behind_pgbouncer("orders_write_api", PoolMode::Session)? {
        let replica = Replica::start(&url, &[])?;
        replica.until_ready_is(StatusCode::OK).await?;
        for _ in 0..20 {
            place_and_pay(&replica.url).await?;
        }
        replica.until_ready_is(StatusCode::OK).await?;
    }
    Ok(())
}

#[tokio::test]
async fn behind_a_pooler_in_another_mode_it_is_not_ready_and_names_the_reason() -> Result<()> {
    let database = TestDatabase::create().await?;
    for mode in [PoolMode::Transaction, PoolMode::Statement] {
        for (_pooler, url) in database.behind_pgbouncer("orders_write_api", mode)? {
            let replica = Replica::start(&url, &[])?;
            until_not_ready_because(&replica.admin_url, "use session mode").await?;
        }
    }
    Ok(())
}
