//! What the roles of the example and of the product may do with its schemas, and which rights stop its migrations.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use migrate::{Addition, MigrateError};
use service_kit::telemetry::chain;
use tempfile::TempDir;
use testkit::golden::Golden;
use testkit::owned_database::OwnedDatabase;
use testkit::privileges;

use crate::support::migrations;

const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));
const ROLES: [&str; 4] = ["orders_revenue", "orders_projector", "orders_write_api", "orders_read_api"];

/// A role of the server that has nothing to do with the orders.
const STRANGER: &str = "stranger";

/// With the product's tables.
async fn create() -> Result<OwnedDatabase> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    Ok(owned)
}

async fn text(owned: &OwnedDatabase, query: &str) -> Result<String> {
    Ok(owned.superuser.query_one(query, &[]).await?.get::<_, Option<String>>(0).unwrap_or_default())
}

#[tokio::test]
async fn each_role_may_do_what_its_process_needs_and_nothing_else() -> Result<()> {
    let owned = create().await?;
    let superuser = &owned.superuser;
    superuser.batch_execute(&format!("CREATE ROLE {STRANGER} LOGIN")).await?;
    let of_product = privileges::matrix(superuser, &ROLES[1..], STRANGER, "public").await?;
    migrations()?.up(&owned.url()).await?;
    let mut matrices = Vec::new();
    for schema in ["revenue", "revenue_1"] {
        matrices.push(privileges::matrix(superuser, &ROLES, STRANGER, schema).await?);
    }
    GOLDEN.compare("privileges.txt", &matrices.join("\n\n"))?;
    assert_eq!(privileges::matrix(superuser, &ROLES[1..], STRANGER, "public").await?, of_product);

    // Of the product's schema, nothing that any role of the server has not.
    let mut of_public = privileges::of_role(superuser, ROLES[0], "public").await?;
    of_public.retain(|(kind, _), privileges| !privileges.is_empty() && kind != "server");
    assert_eq!(of_public.into_values().collect::<Vec<_>>(), ["CONNECT"]);
    for role in ROLES {
        let second = format!("{role}_b");
        for schema in ["public", "revenue", "revenue_1"] {
            let first = privileges::of_role(superuser, role, schema).await?;
            assert_eq!(first, privileges::of_role(superuser, &second, schema).await?, "{role}: {schema}");
            // The product's test tries what the product's roles may do there.
            if role == ROLES[0] || schema != "public" {
                let session = owned.connect_as(role).await?;
                let tried = privileges::check_by_trying(superuser, &session, schema).await?;
                assert!(tried > 15, "{role}: {schema}: {tried}");
            }
        }
    }
    assert!(owned.connect_as(STRANGER).await.is_err(), "any role can connect");
    Ok(())
}

#[tokio::test]
async fn groups_hold_the_grants_and_not_the_roles_that_log_in() -> Result<()> {
    let owned = create().await?;
    migrations()?.up(&owned.url()).await?;
    let grantees = text(
        &owned,
        "SELECT string_agg(DISTINCT grantee::regrole::text, ' ' ORDER BY grantee::regrole::text)
         FROM (SELECT nspacl FROM pg_namespace WHERE nspname ~ '^revenue'
               UNION ALL SELECT relacl FROM pg_class WHERE relnamespace::regnamespace::text ~ '^revenue'
               UNION ALL SELECT proacl FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^revenue'
         ) AS acls (acl), aclexplode(acl)",
    );
    assert_eq!(grantees.await?, "orders_owner orders_projection orders_revenue_read");
    Ok(())
}

/// The first migrations of the example, in a folder of their own.
fn first(number: usize) -> Result<(TempDir, Addition)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut names = fs::read_dir(&source)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    names.retain(|path| path.is_dir());
    names.sort();
    let folder = tempfile::tempdir()?;
    for path in names.iter().take(number) {
        let copy = folder.path().join(path.file_name().context("no name")?);
        fs::create_dir(&copy)?;
        for file in ["up.sql", "down.sql"] {
            fs::copy(path.join(file), copy.join(file))?;
        }
    }
    let addition = Addition::new("revenue", folder.path())?;
    Ok((folder, addition))
}

#[tokio::test]
async fn an_owner_with_createrole_only_goes_up_and_down_and_up_again() -> Result<()> {
    const ROLES: &str = "SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolname ~ 'revenue'";
    let owned = create().await?;
    let (url, migrations) = (owned.url(), migrations()?);
    // An empty schema with an empty history stays.
    let all = migrations.pending(&url).await?.len();
    let mut states = vec![privileges::state(&owned.superuser).await?];
    for number in 1..=all {
        let (_folder, first) = first(number)?;
        assert_eq!(first.up(&url).await?.len(), 1);
        states.push(privileges::state(&owned.superuser).await?);
    }
    let owners = "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class
                  WHERE relnamespace::regnamespace::text ~ '^revenue'";
    assert_eq!(text(&owned, owners).await?, "orders_owner");
    let full = states.pop().context("no migration")?;
    for part in [
        "orders_revenue_b default_transaction_read_only=on,",
        "orders_revenue_b=c/",
        "orders_revenue_read orders_revenue ",
    ] {
        assert!(full.contains(part), "{part}: {full}");
    }
    while let Some(before) = states.pop() {
        assert_eq!(migrations.down(&url, 1).await?.len(), 1);
        assert_eq!(privileges::state(&owned.superuser).await?, before, "after {} migrations", states.len());
    }
    assert_eq!(text(&owned, ROLES).await?, "");
    assert_eq!(migrations.up(&url).await?.len(), all);
    assert_eq!(privileges::state(&owned.superuser).await?, full);
    Ok(())
}

/// What the migrator says.
async fn refused(owned: &OwnedDatabase) -> Result<String> {
    let error = migrations()?.up(&owned.url()).await.err().context("it was not stopped")?;
    ensure!(matches!(error, MigrateError::Rights(_)), "{error:?}");
    Ok(chain(&error))
}

/// Only the migrations of the example: those of the product know nothing of its roles.
#[tokio::test]
async fn a_role_with_more_rights_stops_the_migrations_of_the_example() -> Result<()> {
    let owned = create().await?;
    migrations()?.up(&owned.url()).await?;
    for (give, finding, remedy) in [
        (
            "ALTER ROLE orders_revenue SUPERUSER",
            "role orders_revenue has SUPERUSER",
            "ALTER ROLE orders_revenue NOSUPERUSER",
        ),
        (
            "ALTER ROLE orders_revenue_b CREATEDB",
            "role orders_revenue_b has CREATEDB",
            "ALTER ROLE orders_revenue_b NOCREATEDB",
        ),
        (
            "ALTER ROLE orders_revenue_read LOGIN",
            "role orders_revenue_read has LOGIN",
            "ALTER ROLE orders_revenue_read NOLOGIN",
        ),
        (
            "GRANT pg_read_all_data TO orders_revenue_b",
            "role orders_revenue_b can do what pg_read_all_data can do",
            "REVOKE pg_read_all_data FROM orders_revenue_b",
        ),
        (
            "GRANT orders_read TO orders_revenue",
            "role orders_revenue can do what orders_read can do",
            "REVOKE orders_read FROM orders_revenue",
        ),
        (
            "GRANT orders_revenue_read TO orders_revenue WITH ADMIN OPTION",
            "role orders_revenue can make other roles members of orders_revenue_read",
            "REVOKE ADMIN OPTION FOR orders_revenue_read FROM orders_revenue",
        ),
        (
            "ALTER VIEW revenue.by_month OWNER TO orders_revenue",
            "role orders_revenue owns VIEW revenue.by_month: it can change and read everything in it",
            "ALTER VIEW revenue.by_month OWNER TO orders_owner",
        ),
    ] {
        owned.superuser.batch_execute(give).await.context(give)?;
        let said = refused(&owned).await.context(give)?;
        assert!(said.contains(finding), "{give}: {said}");
        assert_eq!(migrate::up(&owned.url()).await?, [], "{give}");
        owned.superuser.batch_execute(remedy).await.context(remedy)?;
        migrations()?.up(&owned.url()).await.context(give)?;
    }
    Ok(())
}

/// Roles may be there before: they belong to the whole server.
#[tokio::test]
async fn it_stops_before_the_first_migration() -> Result<()> {
    let owned = create().await?;
    owned.superuser.batch_execute("CREATE ROLE orders_revenue LOGIN CREATEDB").await?;
    assert!(refused(&owned).await?.contains("role orders_revenue has CREATEDB"));
    assert_eq!(migrations()?.pending(&owned.url()).await?.len(), 3);
    Ok(())
}
