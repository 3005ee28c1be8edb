//! What the roles may do in particular; `matrix` has every object and role.

use std::time::Duration;

use anyhow::Result;
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, IsolationLevel};

const ROLES: [&str; 4] = ["orders_write_api", "orders_projector", "orders_read_api", "orders_scaler"];

async fn is_allowed(session: &Client, statement: &str) -> Result<bool> {
    match session.batch_execute(&format!("BEGIN READ WRITE; {statement}; ROLLBACK")).await {
        Ok(()) => Ok(true),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            session.batch_execute("ROLLBACK").await?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

#[tokio::test]
async fn no_role_may_change_the_schema_or_become_another() -> Result<()> {
    let database = TestDatabase::create().await?;
    for role in ROLES {
        let session = database.connect_as(role).await?;
        for statement in [
            "CREATE TABLE mine (id int)",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
            "ALTER TABLE orders ADD COLUMN mine int",
            "DROP TABLE order_summary",
            "SET ROLE postgres",
            "SELECT pg_read_file('PG_VERSION')",
        ] {
            assert!(!is_allowed(&session, statement).await?, "{role} may {statement}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_write_side_can_count_events_but_not_read_them() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect_as("orders_write_api").await?;
    assert!(is_allowed(&session, "SELECT count(id) FROM outbox").await?);
    for column in ["kind", "payload", "created_at"] {
        assert!(!is_allowed(&session, &format!("SELECT {column} FROM outbox")).await?, "{column}");
    }
    Ok(())
}

#[tokio::test]
async fn the_projector_can_lock_and_delete_events_but_not_alter_them() -> Result<()> {
    let database = TestDatabase::create().await?;
    database.connect().await?.batch_execute("INSERT INTO outbox (kind, payload) VALUES ('k', '{}')").await?;
    let session = database.connect_as("orders_projector").await?;
    assert!(is_allowed(&session, "SELECT id FROM outbox FOR UPDATE SKIP LOCKED").await?);
    for assignment in ["kind = 'x'", "payload = '[]'", "created_at = now()"] {
        let statement = format!("UPDATE outbox SET {assignment}");
        assert!(!is_allowed(&session, &statement).await?, "{statement}");
    }
    let error = session.batch_execute("UPDATE outbox SET id = 7").await.unwrap_err();
    assert_eq!(
        error.code(),
        Some(&SqlState::GENERATED_ALWAYS),
        "an identity column takes no value: {error:?}"
    );
    Ok(())
}

#[tokio::test]
async fn only_the_projector_sees_outbox_ids_and_transactions_and_the_servers_history() -> Result<()> {
    let database = TestDatabase::create().await?;
    for role in ROLES {
        let session = database.connect_as(role).await?;
        let is_projector = role == "orders_projector";
        for statement in [
            "SELECT last_value FROM outbox_id_seq",
            "SELECT oldest_transaction_seconds()",
            "SELECT current_history()",
            "SELECT find_lost_orders(gen_random_uuid(), 0, 1)",
            "SELECT create_event_log_partitions()",
            "SELECT drop_expired_event_log_partition()",
            "SELECT set_event_log_retention(7)",
        ] {
            assert_eq!(is_allowed(&session, statement).await?, is_projector, "{role}: {statement}");
        }
        let names_histories = is_projector || role == "orders_read_api";
        assert_eq!(is_allowed(&session, "SELECT cell_number()").await?, names_histories, "{role}");
        let is_scaler = role == "orders_scaler";
        assert_eq!(is_allowed(&session, "SELECT oldest_event_seconds()").await?, is_scaler, "{role}");
        for statement in [
            "SELECT nextval('outbox_id_seq')",
            "SELECT setval('outbox_id_seq', 1)",
            "UPDATE event_log_state SET missing_up_to = 1",
        ] {
            assert!(!is_allowed(&session, statement).await?, "{role}: {statement}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_oldest_transaction_is_visible_across_roles() -> Result<()> {
    let database = TestDatabase::create().await?;
    let age = "SELECT oldest_transaction_seconds()";
    let session = database.connect_as("orders_projector").await?;
    assert!(session.query_one(age, &[]).await?.get::<_, f64>(0) < 0.001, "nothing runs");

    let mut holder = database.connect().await?;
    let pinned = holder.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    pinned.query("SELECT 1", &[]).await?;
    let older = wait::until("the age to grow", Duration::from_secs(30), || async {
        let age: f64 = session.query_one(age, &[]).await.map_err(|error| error.to_string())?.get(0);
        if age > 0.01 { Ok(()) } else { Err(age.to_string()) }
    });
    older.await?;
    pinned.rollback().await?;
    assert!(session.query_one(age, &[]).await?.get::<_, f64>(0) < 0.001, "it has ended");
    Ok(())
}

/// A function with the owner's rights must not run what somebody else has put into the schema.
#[tokio::test]
async fn functions_of_the_event_log_call_nothing_that_another_role_can_define() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    session.batch_execute("GRANT CREATE ON SCHEMA public TO orders_projector").await?;
    let projector = database.connect_as("orders_projector").await?;
    let trap = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a trap as %', current_user; END $$";
    for function in [
        "public.right(name, integer) RETURNS text",
        "public.to_char(date, text) RETURNS text",
        "public.nextval(text) RETURNS bigint",
        "public.minus(date, smallint) RETURNS date",
    ] {
        projector.batch_execute(&format!("CREATE FUNCTION {function} {trap}")).await?;
    }
    let operator = "CREATE OPERATOR public.- (LEFTARG = date, RIGHTARG = smallint, FUNCTION = public.minus)";
    projector.batch_execute(operator).await?;
    let upkeep = "SELECT create_event_log_partitions(), drop_expired_event_log_partition(), set_event_log_retention(8)";
    projector.batch_execute(upkeep).await?;
    session.batch_execute("INSERT INTO outbox (kind, payload) VALUES ('k', '{}')").await?;
    projector.batch_execute("DELETE FROM outbox").await?;
    Ok(())
}
