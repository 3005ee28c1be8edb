//! The ids of a cell go on above all that it has had, also where Citus has moved it to a node whose ids are lower. With
//! the catalogs of Citus, so that this runs everywhere.

use anyhow::{Context, Result};
use testkit::citus_catalogs;
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;

async fn next_id(session: &Client) -> Result<i64> {
    Ok(session.query_one("SELECT nextval('outbox_id_seq')", &[]).await?.get(0))
}

async fn with_catalogs() -> Result<(TestDatabase, Client)> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    citus_catalogs::create(&session).await?;
    Ok((database, session))
}

async fn refusal(session: &Client, statement: &str) -> Result<String> {
    let error = session.batch_execute(statement).await.err().context("it was not refused")?;
    Ok(error.as_db_error().context("not by the server")?.message().to_owned())
}

#[tokio::test]
async fn they_go_on_above_events_the_log_what_is_missing_and_checkpoints() -> Result<()> {
    let (_database, session) = with_catalogs().await?;
    session.batch_execute("INSERT INTO outbox (kind, payload) VALUES ('k', '{}')").await?;
    session.batch_execute("SELECT continue_ids()").await?;
    assert_eq!(next_id(&session).await?, 2, "nothing is above the newest id");
    for (above, next) in [
        ("INSERT INTO outbox (id, kind, payload) OVERRIDING SYSTEM VALUE VALUES (100, 'k', '{}')", 101),
        ("INSERT INTO event_log VALUES (200, 'k', '{}', NULL, now())", 201),
        ("INSERT INTO event_log_settled VALUES (301)", 301),
        ("UPDATE event_log_state SET missing_up_to = 400", 401),
        (
            "INSERT INTO subscriptions (name) VALUES ('s');
             INSERT INTO subscription_checkpoints (subscription, generation, checkpoint, history)
             SELECT 's', 1, 500, history FROM event_log_state",
            501,
        ),
        // Nothing is logged: no position is missing.
        ("UPDATE event_log_state SET missing_up_to = 9223372036854775807", 502),
    ] {
        session.batch_execute(above).await?;
        session.batch_execute("SELECT continue_ids()").await.context(above)?;
        assert_eq!(next_id(&session).await?, next, "{above}");
    }
    Ok(())
}

/// As those of a node are.
#[tokio::test]
async fn they_go_on_above_the_range_of_the_sequence() -> Result<()> {
    let (_database, session) = with_catalogs().await?;
    session
        .batch_execute(
            "ALTER SEQUENCE outbox_id_seq MAXVALUE 1000; SET citus.enable_ddl_propagation = on;
             INSERT INTO outbox (id, kind, payload) OVERRIDING SYSTEM VALUE VALUES (5000, 'k', '{}');
             SELECT continue_ids()",
        )
        .await?;
    assert_eq!(next_id(&session).await?, 5001);
    let setting = session.query_one("SHOW citus.enable_ddl_propagation", &[]).await?;
    assert_eq!(setting.get::<_, &str>(0), "on", "it is as before");
    Ok(())
}

#[tokio::test]
async fn only_the_owner_of_the_schema_continues_them() -> Result<()> {
    let (_database, session) = with_catalogs().await?;
    session.batch_execute("UPDATE pg_dist_placement SET groupid = 2").await?;
    let refusal = refusal(&session, "SELECT continue_ids()").await?;
    assert_eq!(refusal, "another node owns schema public: its ids are continued there");
    Ok(())
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The first batch of events on another node.
#[tokio::test]
async fn events_are_logged_in_order_and_a_new_history_continues_the_ids() -> Result<()> {
    let (_database, session) = with_catalogs().await?;
    session
        .batch_execute(
            "UPDATE event_log_state SET history = history + 1;
             INSERT INTO event_log_settled VALUES (1000);
             INSERT INTO outbox (kind, payload, traceparent) VALUES ('a', '{}', NULL),
                ('b', '{}', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
             DELETE FROM outbox",
        )
        .await?;
    let logged = session.query("SELECT position, kind, traceparent FROM event_log ORDER BY 1", &[]).await?;
    let logged: Vec<(i64, String, Option<String>)> =
        logged.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let expected = [(1000, "a".to_owned(), None), (1001, "b".to_owned(), Some(TRACEPARENT.to_owned()))];
    assert_eq!(logged, expected, "no reader has passed these");
    let follows = "SELECT history = current_history() FROM event_log_histories ORDER BY number DESC LIMIT 1";
    assert!(session.query_one(follows, &[]).await?.get::<_, bool>(0));
    assert_eq!(next_id(&session).await?, 1002);
    Ok(())
}

/// Otherwise the events of the renamed schema would get into the log of a new one that has its name.
#[tokio::test]
async fn in_a_renamed_schema_no_event_leaves_the_outbox() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let rename = "INSERT INTO outbox (kind, payload) VALUES ('k', '{}');
                  ALTER SCHEMA public RENAME TO renamed; CREATE SCHEMA public";
    session.batch_execute(rename).await?;
    migrate::up(&database.superuser_url()).await?;
    session.batch_execute("SET search_path = renamed").await?;
    let refusal = refusal(&session, "DELETE FROM outbox").await?;
    assert_eq!(refusal, "the schema was renamed from public: migrations/README.md says how to rename one");
    assert_eq!(session.query_one("SELECT count(*) FROM outbox", &[]).await?.get::<_, i64>(0), 1);
    Ok(())
}
