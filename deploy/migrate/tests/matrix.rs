//! What each role may do with each object, as the catalog says and as statements show it.

use anyhow::Result;
use testkit::golden::Golden;
use testkit::owned_database::OwnedDatabase;
use testkit::privileges;
use tokio_postgres::error::SqlState;

const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));
const ROLES: [&str; 4] = ["orders_write_api", "orders_projector", "orders_read_api", "orders_scaler"];
const SCHEMA: &str = "public";

/// A role of the server that has nothing to do with the orders.
const STRANGER: &str = "stranger";

/// The catalog is as in the file, each role can do what the catalog says and nothing else, and the second role of each
/// process is like the first.
async fn check(owned: &OwnedDatabase, file: &str) -> Result<()> {
    GOLDEN.compare(file, &privileges::matrix(&owned.superuser, &ROLES, STRANGER, SCHEMA).await?)?;
    for role in ROLES {
        let (first, second) = (
            privileges::of_role(&owned.superuser, role, SCHEMA).await?,
            privileges::of_role(&owned.superuser, &format!("{role}_b"), SCHEMA).await?,
        );
        assert_eq!(first, second, "{role}");
        let session = owned.connect_as(role).await?;
        let tried = privileges::check_by_trying(&owned.superuser, &session, SCHEMA).await?;
        assert!(tried > 400, "{role}: {tried}");
    }
    let refused = owned.connect_as(STRANGER).await.err().and_then(|error| error.downcast().ok());
    let refused = refused.and_then(|error: tokio_postgres::Error| error.code().cloned());
    assert_eq!(refused, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{STRANGER} can connect");
    Ok(())
}

#[tokio::test]
async fn each_role_may_do_what_its_process_needs_and_nothing_else() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    owned.superuser.batch_execute(&format!("CREATE ROLE {STRANGER} LOGIN")).await?;
    migrate::up(&owned.url()).await?;
    check(&owned, "privileges.txt").await?;

    owned.superuser.batch_execute(include_str!("../superuser.sql")).await?;
    check(&owned, "privileges_after_superuser_script.txt").await?;
    owned.connect_as("orders_projector").await?.batch_execute("SELECT create_event_log_partitions()").await?;
    migrate::down(&owned.url(), 4).await?;
    migrate::up(&owned.url()).await?;
    Ok(())
}
