//! A server takes over, or recovers, that lacks the newest events: it allocates their positions again.

use anyhow::Result;
use projector::{Config, database};
use service_kit::database::DatabaseConfig;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::wait;
use tokio_postgres::{Client, NoTls};

use super::receiver::Receiver;
use super::support::{FAST, LIMIT, Running, add_for};
use crate::support::{event, vars_of};

/// What the other server lacks: the event at position 2, and what followed from it.
const TAKE_OVER: &str = "
    BEGIN;
    SELECT pg_stat_reset_shared('archiver');
    DELETE FROM event_log WHERE position = 2;
    DELETE FROM event_log_settled;
    INSERT INTO event_log_settled VALUES (1);
    UPDATE subscription_checkpoints SET checkpoint = 1;
    SELECT setval('outbox_id_seq', 1)";

async fn emit(session: &Client, order: u128, version: i32) -> Result<()> {
    let event = event(order, version).encode()?;
    let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json)";
    session.execute(insert, &[&event.kind, &event.payload]).await?;
    Ok(())
}

async fn until(session: &Client, what: &str, expected: i64) -> Result<()> {
    let query = format!("SELECT count(*) FROM {what}");
    let reached = wait::until(what, LIMIT, async || {
        match session.query_one(&query, &[]).await.map(|row| row.get::<_, i64>(0)) {
            Ok(found) if found == expected => Ok(()),
            other => Err(other),
        }
    });
    Ok(reached.await?)
}

/// The second endpoint has read the event that is lost, and wants none of its kind. So only the process knows.
#[tokio::test]
async fn an_event_at_a_position_that_was_read_before_is_sent() -> Result<()> {
    let server = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
    migrate::up(&server.superuser_url("postgres")).await?;
    let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    let mut vars = vars_of(&server.url("orders_projector", "postgres"));
    let database = database::open_for_batches(&DatabaseConfig::from_vars(&vars)?, "test")?;
    let receivers = [Receiver::start()?, Receiver::start()?];
    for (receiver, kinds) in receivers.iter().zip([&[][..], &["order_paid"]]) {
        add_for(&mut *database.session().await?, &receiver.url(), kinds).await?;
    }
    vars.push(("WEBHOOK_ALLOW_PRIVATE".to_owned(), "true".to_owned()));
    let mut config = Config::from_vars(&vars)?;
    config.webhooks.policy = FAST;
    let running = Running::start(&config)?;
    emit(&session, 1, 1).await?;
    until(&session, "subscription_checkpoints WHERE checkpoint = 1", 2).await?;
    emit(&session, 2, 1).await?;
    until(&session, "webhook_attempts WHERE endpoint = 1", 2).await?;

    session.batch_execute(TAKE_OVER).await?;
    emit(&session, 1, 2).await?;
    session.batch_execute("COMMIT").await?;
    until(&session, "event_log WHERE position = 2 AND kind = 'order_paid'", 1).await?;
    until(&session, "webhook_attempts WHERE endpoint = 2", 1).await?;
    until(&session, "webhook_attempts WHERE endpoint = 1", 3).await?;
    running.stop().await
}
