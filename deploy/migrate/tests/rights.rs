//! A role with more rights than its process may have stops the migrator, before any migration.

use anyhow::{Context, Result, ensure};
use migrate::{Addition, MigrateError};
use service_kit::telemetry::chain;
use tokio_postgres::Client;

use testkit::owned_database::OwnedDatabase;

async fn version(session: &Client) -> Result<i32> {
    let row = session.query_one("SELECT current_setting('server_version_num')::integer", &[]).await?;
    Ok(row.get(0))
}

/// What it says.
fn refused<T>(result: Result<T, MigrateError>) -> Result<String> {
    let error = result.err().context("it was not stopped")?;
    ensure!(matches!(error, MigrateError::Rights(_)), "{error:?}");
    Ok(chain(&error))
}

/// Gives more rights to a role, tries, and takes them as the error says. `undo` removes what remains.
async fn check_that_it_stops(owned: &OwnedDatabase, [give, finding, remedy, undo]: [&str; 4]) -> Result<()> {
    owned.superuser.batch_execute(give).await.with_context(|| give.to_owned())?;
    let said = refused(migrate::up(&owned.url()).await).with_context(|| give.to_owned())?;
    assert!(said.starts_with("a role has more rights than its process may have: "), "{give}: {said}");
    assert!(said.contains(&format!("{finding} (remedy: {remedy}")), "{give}: {said}");
    let remedy = remedy.replace("another role: that of the migrations", "orders_owner");
    owned.superuser.batch_execute(&remedy).await.context(remedy)?;
    migrate::up(&owned.url()).await.with_context(|| give.to_owned())?;
    owned.superuser.batch_execute(undo).await.with_context(|| undo.to_owned())?;
    Ok(())
}

#[tokio::test]
async fn attributes_stop_the_migrator() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    for (role, attribute) in [
        ("orders_write_api", "SUPERUSER"),
        ("orders_projector", "BYPASSRLS"),
        ("orders_read_api", "CREATEROLE"),
        ("orders_read_api_b", "CREATEDB"),
        ("orders_write_api_b", "REPLICATION"),
        ("orders_projection", "CREATEDB"),
        ("orders_read", "LOGIN"),
        ("orders_scaling", "LOGIN"),
        ("orders_scaler_b", "BYPASSRLS"),
    ] {
        let (give, take) =
            (format!("ALTER ROLE {role} {attribute}"), format!("ALTER ROLE {role} NO{attribute}"));
        check_that_it_stops(&owned, [&give, &format!("role {role} has {attribute}"), &take, ""]).await?;
    }
    Ok(())
}

/// Each that this version of PostgreSQL has, such as `pg_signal_backend` and `pg_maintain`.
#[tokio::test]
async fn predefined_roles_stop_the_migrator() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    // That of the owner has no members but the owner.
    let predefined =
        "SELECT rolname::text FROM pg_roles WHERE rolname ~ '^pg_' AND rolname <> 'pg_database_owner'";
    let predefined = owned.superuser.query(predefined, &[]).await?;
    ensure!(predefined.len() > 10, "{}", predefined.len());
    for row in predefined {
        let role: &str = row.get(0);
        let give = format!("GRANT {role} TO orders_projector_b");
        let finding = format!("role orders_projector_b can do what {role} can do");
        let remedy = format!("REVOKE {role} FROM orders_projector_b");
        check_that_it_stops(&owned, [&give, &finding, &remedy, ""]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn memberships_stop_the_migrator() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    for case in [
        [
            "GRANT orders_projection TO orders_read_api",
            "role orders_read_api can do what orders_projection can do",
            "REVOKE orders_projection FROM orders_read_api",
            "",
        ],
        [
            "GRANT orders_read TO orders_scaler",
            "role orders_scaler can do what orders_read can do",
            "REVOKE orders_read FROM orders_scaler",
            "",
        ],
        [
            "GRANT orders_write_api TO orders_write_api_b",
            "role orders_write_api_b can do what orders_write_api can do",
            "REVOKE orders_write_api FROM orders_write_api_b",
            "",
        ],
        [
            "GRANT orders_read TO orders_write",
            "role orders_write can do what orders_read can do",
            "REVOKE orders_read FROM orders_write",
            "",
        ],
        // The remedy is the membership that the role itself has.
        [
            "CREATE ROLE dba CREATEDB; CREATE ROLE staff IN ROLE dba; GRANT staff TO orders_write_api",
            "role orders_write_api has CREATEDB, as a member of dba",
            "REVOKE staff FROM orders_write_api",
            "DROP ROLE staff, dba",
        ],
        [
            "CREATE ROLE rich; CREATE VIEW of_rich AS SELECT 1; ALTER VIEW of_rich OWNER TO rich;
             GRANT rich TO orders_projector",
            "role orders_projector can do what rich can do",
            "REVOKE rich FROM orders_projector",
            "DROP OWNED BY rich; DROP ROLE rich",
        ],
        [
            "GRANT orders_projection TO orders_projector WITH ADMIN OPTION",
            "role orders_projector can make other roles members of orders_projection",
            "REVOKE ADMIN OPTION FOR orders_projection FROM orders_projector",
            "",
        ],
    ] {
        check_that_it_stops(&owned, case).await?;
    }
    let given = "GRANT orders_read TO orders_write";
    owned.superuser.batch_execute(given).await?;
    let said = refused(migrate::up(&owned.url()).await)?;
    assert!(
        !said.contains("orders_write_api"),
        "found at the group, not at its members, which need it: {said}"
    );
    owned.superuser.batch_execute("REVOKE orders_read FROM orders_write").await?;
    // Since version 16, the owner is a member of the roles that it creates, so none can be a member of it.
    if version(&owned.superuser).await? < 160_000 {
        let case = [
            "GRANT orders_owner TO orders_projector",
            "role orders_projector can do what orders_owner can do",
            "REVOKE orders_owner FROM orders_projector",
            "",
        ];
        check_that_it_stops(&owned, case).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_a_role_owns_stops_the_migrator() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    for [give, object] in [
        ["ALTER TABLE deliveries OWNER TO orders_projector", "TABLE deliveries"],
        ["ALTER TABLE event_log OWNER TO orders_projection", "TABLE event_log"],
        ["ALTER FUNCTION current_history() OWNER TO orders_read_api", "FUNCTION current_history()"],
        [
            "CREATE MATERIALIZED VIEW mine AS SELECT 1; ALTER TABLE mine OWNER TO orders_write_api",
            "MATERIALIZED VIEW mine",
        ],
        ["CREATE SCHEMA theirs AUTHORIZATION orders_read_api", "SCHEMA theirs"],
        ["CREATE DATABASE theirs OWNER orders_read_api", "DATABASE theirs"],
    ] {
        let role = give.rsplit(' ').next().context("a role")?;
        let finding = format!("role {role} owns {object}: it can change and read everything in it");
        let remedy = format!("ALTER {object} OWNER TO another role: that of the migrations");
        check_that_it_stops(&owned, [give, &finding, &remedy, ""]).await?;
    }
    Ok(())
}

/// Roles may be there before: they belong to the whole server.
#[tokio::test]
async fn it_stops_before_the_first_migration_and_says_everything_at_once() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    let roles = "CREATE ROLE orders_write_api LOGIN CREATEDB; CREATE ROLE orders_read_api LOGIN BYPASSRLS";
    owned.superuser.batch_execute(roles).await?;
    let said = refused(migrate::up(&owned.url()).await)?;
    let expected = "a role has more rights than its process may have: role orders_read_api has BYPASSRLS (remedy: \
                    ALTER ROLE orders_read_api NOBYPASSRLS); role orders_write_api has CREATEDB (remedy: \
                    ALTER ROLE orders_write_api NOCREATEDB). Then run this again";
    assert_eq!(said, expected);
    let first = "2026-11-23-000100_create_roles";
    assert_eq!(migrate::pending(&owned.url()).await?.first().map(String::as_str), Some(first));
    Ok(())
}

#[tokio::test]
async fn migrations_of_ones_own_stop_too_and_the_way_back_stays_open() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    owned.superuser.batch_execute("ALTER ROLE orders_projector CREATEDB").await?;
    let folder = tempfile::tempdir()?;
    let addition = Addition::new("mine", folder.path())?;
    refused(addition.up(&owned.url()).await)?;
    let schemas = owned.superuser.query("SELECT FROM pg_namespace WHERE nspname = 'mine'", &[]).await?;
    assert_eq!(schemas.len(), 0);
    assert_eq!(migrate::down(&owned.url(), 1).await?.len(), 1);
    Ok(())
}

/// A session of a process may have temporary tables, and a role may be a member of one that has nothing.
#[tokio::test]
async fn what_gives_no_rights_does_not_stop_it() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    let given = "GRANT TEMPORARY ON DATABASE orders TO orders_projector;
                 CREATE ROLE staff; GRANT staff TO orders_projector";
    owned.superuser.batch_execute(given).await?;
    let session = owned.connect_as("orders_projector").await?;
    session.batch_execute("CREATE TEMPORARY TABLE mine (id int)").await?;
    assert_eq!(migrate::up(&owned.url()).await?, []);
    Ok(())
}
