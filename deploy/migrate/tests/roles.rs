//! The roles of the processes: made by an owner that is no superuser, with their settings, and with no other rights.

use anyhow::{Context, Result, anyhow, ensure};
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use migrate::{MIGRATIONS, MigrateError};
use tokio_postgres::Client;

use testkit::owned_database::OwnedDatabase;
use testkit::privileges;

const GROUPS: &str = "2026-11-27-000100_grant_to_group_roles";
const PUBLIC: &str = "2026-11-27-000200_revoke_from_public";
const SCALING: &str = "2026-11-28-000100_let_a_scaler_see_the_oldest_event";

/// What the error of a migration says.
async fn refused(owned: &OwnedDatabase, migration: &str) -> Result<String> {
    let error = migrate::up(&owned.url()).await.err().context("it was applied")?;
    ensure!(matches!(&error, MigrateError::Step { name, .. } if name == migration), "{error:?}");
    Ok(service_kit::telemetry::chain(&error))
}

async fn text(session: &Client, query: &str) -> Result<String> {
    Ok(session.query_one(query, &[]).await?.get(0))
}

/// Reverts the migrations since this one, and it.
async fn revert_to_before(owned: &OwnedDatabase, migration: &str) -> Result<usize> {
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(|error| anyhow!("{error}"))?;
    let steps = known.iter().filter(|one| one.name().to_string().as_str() >= migration).count();
    Ok(migrate::down(&owned.url(), steps).await?.len())
}

#[tokio::test]
async fn an_owner_with_createrole_only_goes_up_and_down_and_up_again() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    let empty = privileges::state(&owned.superuser).await?;
    let all = migrate::up(&owned.url()).await?.len();
    let owners = text(
        &owned.superuser,
        "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class
        WHERE relnamespace = 'public'::regnamespace",
    );
    assert_eq!(owners.await?, "orders_owner");
    let full = privileges::state(&owned.superuser).await?;
    let (settings, connect) =
        ("orders_read_api_b default_transaction_read_only=on,", "orders_read_api_b=c/orders_owner");
    assert!(
        [settings, connect, "orders_read orders_read_api_b "].iter().all(|part| full.contains(part)),
        "{full}"
    );
    let reverted = revert_to_before(&owned, GROUPS).await?;
    let before = privileges::state(&owned.superuser).await?;
    assert!(before.contains("orders_write_api") && !before.contains("_b"), "{before}");
    migrate::up(&owned.url()).await?;
    revert_to_before(&owned, GROUPS).await?;
    assert_eq!(privileges::state(&owned.superuser).await?, before);
    assert_eq!(migrate::down(&owned.url(), all).await?.len(), all - reverted);
    let roles = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname ~ '^orders'";
    assert_eq!(text(&owned.superuser, roles).await?, "orders_migrate orders_owner");
    // Who logs in to become the owner keeps the right to connect.
    let after = privileges::state(&owned.superuser).await?;
    assert_eq!(after.replace(" orders_migrate=c/orders_owner", ""), empty);
    assert_eq!(migrate::up(&owned.url()).await?.len(), all);
    assert_eq!(privileges::state(&owned.superuser).await?, full);
    Ok(())
}

async fn version(owned: &OwnedDatabase) -> Result<i32> {
    Ok(text(&owned.superuser, "SHOW server_version_num").await?.parse()?)
}

#[tokio::test]
async fn roles_of_another_creator_and_roles_that_do_not_inherit_are_reported() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    owned.superuser.batch_execute("CREATE ROLE orders_read_api LOGIN").await?;
    // Since version 16, CREATEROLE is about the roles that one has created.
    if version(&owned).await? >= 160_000 {
        let said = refused(&owned, GROUPS).await?;
        let remedy = "GRANT orders_read, orders_read_api TO orders_owner WITH ADMIN OPTION";
        assert!(said.contains(remedy), "{said}");
        // The migration has created the group and undone that.
        owned.superuser.batch_execute("GRANT orders_read_api TO orders_owner WITH ADMIN OPTION").await?;
    }
    migrate::up(&owned.url()).await?;
    revert_to_before(&owned, GROUPS).await?;
    owned.superuser.batch_execute("ALTER ROLE orders_read_api NOINHERIT").await?;
    let said = refused(&owned, GROUPS).await?;
    assert!(said.contains("ALTER ROLE orders_read_api INHERIT"), "{said}");
    Ok(())
}

/// What an operator has set stays.
#[tokio::test]
async fn a_scaler_that_is_there_before_is_used_as_it_is_or_reported() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    let before = "CREATE ROLE orders_scaler LOGIN NOINHERIT CONNECTION LIMIT 7;
                  ALTER ROLE orders_scaler SET lock_timeout = '1s'";
    owned.superuser.batch_execute(before).await?;
    // Since version 16, CREATEROLE is about the roles that one has created.
    if version(&owned).await? >= 160_000 {
        let said = refused(&owned, SCALING).await?;
        let remedy = "GRANT orders_scaling, orders_scaler TO orders_owner WITH ADMIN OPTION";
        assert!(said.contains(remedy), "{said}");
        owned.superuser.batch_execute("GRANT orders_scaler TO orders_owner WITH ADMIN OPTION").await?;
    }
    let said = refused(&owned, SCALING).await?;
    assert!(said.contains("ALTER ROLE orders_scaler INHERIT"), "{said}");
    owned.superuser.batch_execute("ALTER ROLE orders_scaler INHERIT").await?;
    migrate::up(&owned.url()).await?;
    let session = owned.connect_as("orders_scaler").await?;
    session.batch_execute("SELECT oldest_event_seconds()").await?;
    assert_eq!(text(&session, "SHOW lock_timeout").await?, "1s");
    let limit = "SELECT rolconnlimit::text FROM pg_roles WHERE rolname = 'orders_scaler'";
    assert_eq!(text(&session, limit).await?, "7");
    Ok(())
}

#[tokio::test]
async fn each_login_has_its_settings_and_what_an_operator_has_changed_stays() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    owned.superuser.batch_execute("ALTER ROLE orders_projector SET statement_timeout = '7s'").await?;
    revert_to_before(&owned, PUBLIC).await?;
    migrate::up(&owned.url()).await?;
    for role in ["orders_write_api", "orders_projector", "orders_read_api", "orders_scaler"] {
        for role in [role.to_owned(), format!("{role}_b")] {
            let session = owned.connect_as(&role).await?;
            let statement = if role == "orders_projector" { "7s" } else { "1min" };
            let read_only = if role.contains("read") || role.contains("scaler") { "on" } else { "off" };
            for (setting, expected) in [
                ("statement_timeout", statement),
                ("lock_timeout", "10s"),
                ("idle_in_transaction_session_timeout", "1min"),
                ("default_transaction_read_only", read_only),
            ] {
                assert_eq!(text(&session, &format!("SHOW {setting}")).await?, expected, "{role}: {setting}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn roles_of_ones_own_keep_what_they_need_and_others_lose_the_database() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    revert_to_before(&owned, PUBLIC).await?;
    owned
        .superuser
        .batch_execute(
            "CREATE ROLE reporting LOGIN; CREATE ROLE stranger LOGIN; GRANT SELECT ON orders TO reporting",
        )
        .await?;
    let stranger = owned.connect_as("stranger").await?;
    migrate::up(&owned.url()).await?;
    owned.connect_as("reporting").await?.query("SELECT FROM orders", &[]).await?;
    assert!(stranger.batch_execute("CREATE TEMPORARY TABLE mine (id int)").await.is_err());
    assert!(owned.connect_as("stranger").await.is_err());
    Ok(())
}

/// The statements in migrations/README.md that give the tables of a superuser to an owner.
#[tokio::test]
async fn tables_of_a_superuser_get_another_owner_as_documented() -> Result<()> {
    const DOCUMENTED: &str = include_str!("../../../migrations/README.md");
    let mut blocks = DOCUMENTED.split("```sql\n").filter_map(|part| part.split("```").next());
    let statements = blocks.find(|block| block.contains("OWNER TO orders_owner")).context("no statements")?;
    let owned = OwnedDatabase::create().await?;
    owned.superuser.batch_execute("ALTER DATABASE orders OWNER TO postgres").await?;
    let all = migrate::up(&owned.server.superuser_url("orders")).await?.len();
    owned.superuser.batch_execute(statements).await?;
    let report = migrate::doctor(&owned.url()).await?;
    let roles: Vec<_> =
        report.findings.iter().filter(|one| one.check == "roles").map(|one| &one.finding).collect();
    assert!(!report.has_errors() && roles.len() == 2, "large objects and statistics: {report}");
    revert_to_before(&owned, GROUPS).await?;
    migrate::up(&owned.url()).await?;
    owned.connect_as("orders_write_api_b").await?.query("SELECT FROM orders", &[]).await?;
    assert_eq!(migrate::down(&owned.url(), usize::MAX).await?.len(), all);
    Ok(())
}

#[tokio::test]
async fn a_role_that_cannot_revoke_from_public_is_told_so() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    owned.superuser.batch_execute("ALTER DATABASE orders OWNER TO postgres").await?;
    owned.superuser.batch_execute("GRANT ALL ON SCHEMA public TO orders_owner WITH GRANT OPTION").await?;
    let said = refused(&owned, PUBLIC).await?;
    assert!(said.contains("ALTER DATABASE orders OWNER TO orders_owner"), "{said}");
    Ok(())
}
