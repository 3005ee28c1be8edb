//! Up, down and up again; two migrators at once; locked tables.

use anyhow::{Context, Result, ensure};
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::test_database::TestDatabase;
use tokio_postgres::{Client, NoTls};

/// The whole schema with its grants, from `pg_dump`.
fn schema_of(database: &TestDatabase) -> Result<String> {
    let dump = database.program("pg_dump").arg("--schema-only").output().context("pg_dump")?;
    ensure!(dump.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dump.stderr));
    let text = String::from_utf8(dump.stdout)?;
    // Newer versions of pg_dump print a random token.
    Ok(text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n"))
}

async fn roles_with_grants(database: &TestDatabase) -> Result<i64> {
    let count = "SELECT count(*) FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
                 WHERE r.rolname LIKE 'orders\\_%'
                   AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    Ok(database.connect().await?.query_one(count, &[]).await?.get(0))
}

#[tokio::test]
async fn every_down_migration_undoes_its_up_migration_exactly() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let url = database.superuser_url();
    let all = migrate::pending(&url).await?;
    assert!(all.len() >= 5, "{all:?}");

    migrate::up(&url).await?;
    let full = schema_of(&database)?;
    let mut on_the_way_down = vec![full.clone()];
    for name in all.iter().rev() {
        let reverted = migrate::down(&url, 1).await?;
        assert_eq!(reverted.iter().map(|step| &step.name).collect::<Vec<_>>(), [name]);
        on_the_way_down.push(schema_of(&database)?);
    }
    assert_eq!(roles_with_grants(&database).await?, 0, "grants were left behind");
    for pair in on_the_way_down.windows(2) {
        assert_ne!(pair[0], pair[1], "a migration that changes nothing cannot prove its way back");
    }

    let applied = migrate::up(&url).await?;
    assert_eq!(applied.iter().map(|step| step.name.clone()).collect::<Vec<_>>(), all);
    assert_eq!(schema_of(&database)?, full);
    Ok(())
}

#[tokio::test]
async fn reverting_all_migrations_leaves_an_empty_database() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let url = database.superuser_url();
    let all = migrate::up(&url).await?.len();
    migrate::down(&url, all).await?;
    let tables = "SELECT count(*) FROM pg_tables
                  WHERE schemaname = 'public' AND tablename <> '__diesel_schema_migrations'";
    let tables: i64 = database.connect().await?.query_one(tables, &[]).await?.get(0);
    assert_eq!(tables, 0);
    assert_eq!(migrate::down(&url, 1).await?, [], "nothing more to revert");
    Ok(())
}

#[tokio::test]
async fn two_concurrent_migrators_apply_each_migration_once() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let url = database.superuser_url();
    let (one, two) = tokio::join!(migrate::up(&url), migrate::up(&url));
    let (one, two) = (one?, two?);
    let all = one.len().max(two.len());
    assert_eq!(one.len() + two.len(), all, "one did all of it, the other nothing");
    assert!(migrate::pending(&url).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn roles_are_created_once_per_server_and_dropped_with_the_last_database() -> Result<()> {
    // A private server: on the shared one the template always uses the roles.
    let server = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
    let (admin, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    admin.batch_execute("CREATE DATABASE one").await?;
    admin.batch_execute("CREATE DATABASE two").await?;
    let roles = || async {
        let count = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'orders\\_%'";
        anyhow::Ok(admin.query_one(count, &[]).await?.get::<_, i64>(0))
    };

    let (one, two) = (server.superuser_url("one"), server.superuser_url("two"));
    let (applied_one, applied_two) = tokio::join!(migrate::up(&one), migrate::up(&two));
    assert_eq!((applied_one?.len(), roles().await?), (applied_two?.len(), 12));
    let members = "SELECT count(*) FROM pg_auth_members WHERE member::regrole::text ~ '^orders_'
                       AND roleid::regrole::text ~ '^orders_(write|projection|read|scaling)$'";
    migrate::down(&one, usize::MAX).await?;
    assert_eq!(roles().await?, 12, "the other database still uses them");
    assert_eq!(admin.query_one(members, &[]).await?.get::<_, i64>(0), 8);
    migrate::down(&two, usize::MAX).await?;
    assert_eq!(roles().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_locked_table_fails_the_migration_by_name() -> Result<()> {
    let database = TestDatabase::create().await?;
    let mut holder = database.connect().await?;
    let transaction = holder.transaction().await?;
    transaction.batch_execute("LOCK TABLE parked_events IN ACCESS SHARE MODE").await?;

    // Newest first, down to one that changes this table.
    let error = migrate::down(&database.superuser_url(), usize::MAX).await.unwrap_err();
    let failed = "migration 2026-11-27-001010_validate_trace_contexts failed (";
    assert!(error.to_string().starts_with(failed), "{error}");
    assert!(service_kit::telemetry::chain(&error).contains("lock timeout"), "{error:?}");
    transaction.query("SELECT count(*) FROM parked_events", &[]).await?;
    Ok(())
}

#[tokio::test]
async fn an_interrupted_index_is_built_again() -> Result<()> {
    let database = TestDatabase::create().await?;
    let url = database.superuser_url();
    while migrate::down(&url, 1).await?[0].name
        != "2026-11-26-000300_serve_a_customers_list_with_its_currency"
    {}
    let session = database.connect().await?;
    session
        .batch_execute(
            "CREATE INDEX order_summary_of_customer ON order_summary (customer_id);
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'order_summary_of_customer'::regclass",
        )
        .await?;
    migrate::up(&url).await?;
    let index = "SELECT indisvalid, indnatts::int FROM pg_index
                 WHERE indexrelid = 'order_summary_of_customer'::regclass";
    let index = session.query_one(index, &[]).await?;
    assert_eq!((index.get::<_, bool>(0), index.get::<_, i32>(1)), (true, 10), "the unfinished one is gone");
    Ok(())
}

#[tokio::test]
async fn unreadable_times_stop_the_migration_and_are_counted() -> Result<()> {
    let database = TestDatabase::create().await?;
    let url = database.superuser_url();
    while migrate::down(&url, 1).await?[0].name != "2026-11-25-000400_refuse_times_that_no_program_reads" {}
    let session = database.connect().await?;
    session
        .batch_execute(
            "INSERT INTO outbox (kind, payload, created_at) VALUES ('k', '{}', '290000-01-01'), ('k', '{}', now()),
                 ('k', '{}', '0044-03-15 BC');
             INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, next_attempt_at) VALUES
                 (1, 'k', '{}', now(), 1, 'e', NULL), (2, 'k', '{}', now(), 1, 'e', 'infinity')",
        )
        .await?;
    let error = migrate::up(&url).await.unwrap_err();
    let said = service_kit::telemetry::chain(&error);
    assert!(said.contains("2 rows of outbox, 1 of parked_events and 0 of waiting_events"), "{said}");
    let repair = "UPDATE outbox SET created_at = now(); UPDATE parked_events SET next_attempt_at = now()";
    session.batch_execute(repair).await?;
    migrate::up(&url).await?;
    Ok(())
}

#[tokio::test]
async fn an_unreachable_server_is_reported() {
    let error = migrate::up("postgres://nobody@%2Fno%2Fsuch%2Fdirectory/orders").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot connect to the database");
}

async fn let_two_events_wait(session: &Client) -> Result<()> {
    let insert = "INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at) VALUES
                  (7, gen_random_uuid(), 2, 'order_paid', '{\"a\": 7}', now() - interval '1 hour'),
                  (-1, gen_random_uuid(), 3, 'order_shipped', '{\"a\": -1}', now())";
    Ok(session.batch_execute(insert).await?)
}

async fn check_that_both_are_in_the_outbox(session: &Client) -> Result<()> {
    let events =
        "SELECT kind, payload::text, created_at < now() - interval '30 minutes' FROM outbox ORDER BY id";
    let events = session.query(events, &[]).await?;
    let events: Vec<(&str, &str, bool)> =
        events.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(events, [("order_shipped", r#"{"a": -1}"#, false), ("order_paid", r#"{"a": 7}"#, true)]);
    Ok(())
}

#[tokio::test]
async fn events_that_wait_for_a_lock_go_back_to_the_outbox_with_their_table() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let_two_events_wait(&session).await?;
    let url = database.superuser_url();
    while session.query_opt("SELECT FROM pg_class WHERE relname = 'waiting_events'", &[]).await?.is_some() {
        ensure!(!migrate::down(&url, 1).await?.is_empty(), "nothing more to revert");
    }
    check_that_both_are_in_the_outbox(&session).await
}

/// The documented step before a projector that does not know the table.
#[tokio::test]
async fn the_documented_statements_put_waiting_events_back_into_the_outbox() -> Result<()> {
    const DOCUMENTED: &str = include_str!("../../../migrations/README.md");
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let_two_events_wait(&session).await?;
    let statements = DOCUMENTED.split("```sql\n").find(|block| block.starts_with("BEGIN;"));
    let statements = statements.and_then(|block| block.split("```").next()).context("no statements")?;
    session.batch_execute(statements).await?;
    let left: i64 = session.query_one("SELECT count(*) FROM waiting_events", &[]).await?.get(0);
    assert_eq!(left, 0);
    check_that_both_are_in_the_outbox(&session).await
}

#[tokio::test]
async fn a_database_with_another_encoding_is_refused_and_not_changed() -> Result<()> {
    let beside = TestDatabase::create_empty().await?;
    let session = beside.connect().await?;
    let name: String = session.query_one("SELECT current_database()::text", &[]).await?.get(0);
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let other = format!("{name}_{}", encoding.to_lowercase());
        session
            .batch_execute(&format!(
                "CREATE DATABASE {other} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
            ))
            .await?;
        let migrated = migrate::up(&beside.superuser_url().replace(&name, &other)).await;
        session.batch_execute(&format!("DROP DATABASE {other} WITH (FORCE)")).await?;
        let error = migrated.unwrap_err().to_string();
        assert!(error.contains(encoding) && error.contains("UTF8"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unsupported_parameter_of_the_url_is_named() -> Result<()> {
    for (parameter, named) in [("schema=public", "schema"), ("sslmode=verify-full", "sslrootcert")] {
        let error =
            migrate::up(&format!("postgres://postgres@db.example/orders?{parameter}")).await.unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
    Ok(())
}
