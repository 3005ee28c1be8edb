//! read-api behind `PgBouncer`, in each of its modes.

use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt;
use migrate::Cell;
use read_api::adapter::postgres::BY_KEY_ONLY;
use reqwest::StatusCode;
use service_kit::database::DatabaseConfig;
use testkit::pgbouncer::{PgBouncer, PoolMode};
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::readiness::until_not_ready_because;
use testkit::test_database::TestDatabase;
use testkit::wait;

use crate::failover::alternate;
use crate::support::Replica;

#[derive(Debug, PartialEq, diesel::QueryableByName)]
struct Setting {
    #[diesel(sql_type = diesel::sql_types::Text)]
    value: String,
}

#[tokio::test]
async fn behind_a_pooler_in_session_mode_every_setting_is_in_force() -> Result<()> {
    let database = TestDatabase::create().await?;
    for (_pooler, url) in database.behind_pgbouncer("orders_read_api", PoolMode::Session)? {
        let vars = vec![("DATABASE_URL".to_owned(), url.clone())];
        let opened = DatabaseConfig::from_vars(&vars)?.with_settings(BY_KEY_ONLY).open("test")?;
        let shown =
            "SELECT current_setting(name) AS value FROM unnest(ARRAY['statement_timeout', 'lock_timeout',
            'idle_in_transaction_session_timeout', 'enable_seqscan']) AS name";
        let settings: Vec<Setting> = opened
            .run(|connection| diesel_async::RunQueryDsl::load(diesel::sql_query(shown), connection).boxed())
            .await?;
        let settings: Vec<_> = settings.into_iter().map(|setting| setting.value).collect();
        assert_eq!(settings, ["4s", "300ms", "5s", "off"]);
        drop(opened);
        let replica = Replica::start(&url, &[])?;
        replica.until_ready_is(StatusCode::OK).await?;
        for _ in 0..50 {
            assert_eq!(replica.get("/customers/alice/orders").await?.status(), StatusCode::OK);
        }
    }
    Ok(())
}

/// Their connections come from the same pool, since they have the same role and database.
#[tokio::test]
async fn two_cells_behind_one_pooler_read_their_own_tables() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let session = database.connect().await?;
    for cell in ["cell_01", "cell_02"] {
        Cell::new(cell)?.up(&database.superuser_url()).await?;
        session
            .batch_execute(&format!(
                "INSERT INTO {cell}.order_summary
                     (order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version)
                 VALUES (gen_random_uuid(), 'alice', 5, 'placed', now(), 1, '{cell}', 1)"
            ))
            .await?;
    }
    for (_pooler, url) in database.behind_pgbouncer("orders_read_api", PoolMode::Session)? {
        let start = |cell| Replica::start(&format!("{url}?options=-c%20search_path%3D{cell}"), &[]);
        let replicas = [("cell_01", start("cell_01")?), ("cell_02", start("cell_02")?)];
        for (_, replica) in &replicas {
            replica.until_ready_is(StatusCode::OK).await?;
        }
        for (cell, replica) in replicas.iter().cycle().take(50) {
            let list = replica.get("/customers/alice/orders").await?.text().await?;
            let other = if *cell == "cell_01" { "cell_02" } else { "cell_01" };
            assert!(list.contains(cell) && !list.contains(other), "{cell}: {list}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn behind_a_pooler_in_transaction_mode_it_is_not_ready_and_reports_the_reason() -> Result<()> {
    let database = TestDatabase::create().await?;
    for mode in [PoolMode::Transaction, PoolMode::Statement] {
        for (_pooler, url) in database.behind_pgbouncer("orders_read_api", mode)? {
            // The second replica gets sessions that still have the settings of the first.
            for _ in 0..2 {
                let replica = Replica::start(&url, &[])?;
                until_not_ready_because(&replica.admin_url, "use session mode").await?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_recognized_behind_a_balancer_that_alternates() -> Result<()> {
    let options = ServerOptions { tuning: Tuning::Throwaway, data_dir: None };
    let servers = [PrivateServer::start(&options)?, PrivateServer::start(&options)?];
    for mode in ["transaction", "statement"] {
        let lines = format!("pool_mode = {mode}\nignore_startup_parameters = options");
        let start = |server: &PrivateServer| PgBouncer::start(server.socket_dir(), &["postgres"], &lines);
        let (Some(one), Some(other)) = (start(&servers[0])?, start(&servers[1])?) else { return Ok(()) };
        let (port, _balancing) = alternate([one.socket(), other.socket()]).await?;
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let opened = DatabaseConfig::from_vars(&vec![("DATABASE_URL".to_owned(), url)])?.open("test")?;
        let query = "SELECT 'works' AS value";
        let outcome: Result<Setting, _> = opened
            .run(move |connection| {
                diesel_async::RunQueryDsl::get_result(diesel::sql_query(query), connection).boxed()
            })
            .await;
        let error = outcome.err().map(|error| service_kit::telemetry::chain(&error)).unwrap_or_default();
        assert!(error.contains("use session mode"), "{mode}: {error:?}");
    }
    Ok(())
}

/// The second connection of a trial is refused, and the first keeps its session: only the values in force show that the
/// pooler resets it.
#[tokio::test]
async fn a_pooler_that_resets_the_session_of_its_only_client_is_refused_by_the_lost_setting() -> Result<()> {
    let options = ServerOptions { tuning: Tuning::Throwaway, data_dir: None };
    let server = PrivateServer::start(&options)?;
    let lines = "pool_mode = transaction\nignore_startup_parameters = options\nmax_client_conn = 1\n\
                 server_reset_query_always = 1";
    let Some(pooler) = PgBouncer::start(server.socket_dir(), &["postgres"], lines)? else { return Ok(()) };
    let vars = vec![("DATABASE_URL".to_owned(), pooler.url("postgres", "postgres"))];
    let opened = DatabaseConfig::from_vars(&vars)?.open("test")?;
    let query = "SELECT current_setting('statement_timeout') AS value";
    wait::until("the lost setting to be named", Duration::from_secs(30), async || {
        let outcome: Result<Setting, _> = opened
            .run(move |connection| {
                diesel_async::RunQueryDsl::get_result(diesel::sql_query(query), connection).boxed()
            })
            .await;
        let error = outcome.map_err(|error| service_kit::telemetry::chain(&error));
        match error {
            Err(error) if error.contains("the session has lost the setting statement_timeout") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}
