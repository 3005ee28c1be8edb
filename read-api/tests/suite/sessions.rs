//! Database sessions that break while the process runs: a changed schema, discarded statements, silence.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::FutureExt;
use reqwest::StatusCode;
use service_kit::database::{Database, DatabaseConfig};
use testkit::column_changes::column_changes;
use testkit::load::Load;
use testkit::readiness::until_not_ready_because;
use testkit::test_database::TestDatabase;

use crate::support::{Api, Replica, SOON, order};

fn requests(api: &Api) -> Load {
    let paths = [
        "/customers/alice/orders".to_owned(),
        "/customers/alice/orders?status=placed".to_owned(),
        order(1),
        format!("{}?min_version=1", order(1)),
    ];
    Load::start(paths.map(|path| {
        let (client, url) = (reqwest::Client::new(), format!("{}{path}", api.url));
        move || {
            let (client, url) = (client.clone(), url.clone());
            async move {
                client.get(&url).send().await?.error_for_status()?;
                Ok(())
            }
        }
    }))
}

#[tokio::test]
async fn after_a_column_type_changed_requests_fail_for_one_second_at_most() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 1), (2, "alice", 2)]).await?;
    let session = api.database.connect().await?;
    let mut events = api.watch("alice", None).await?;
    assert_eq!(events.next().await?.context("no snapshot")?.name, "snapshot");
    let load = requests(&api);
    let mut changes = Vec::new();
    for change in column_changes(&session, "orders_read_api").await? {
        load.until_more(40).await?;
        let begin = Instant::now();
        session.batch_execute(&change.statement).await?;
        changes.push(begin..Instant::now());
    }
    load.until_more(200).await?;
    api.until_ready_is(StatusCode::OK).await?;
    load.check(&changes)
}

#[tokio::test]
async fn after_discard_all_requests_fail_for_one_second_at_most() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy().await?;
    api.insert(&[(1, "alice", 1)]).await?;
    let load = requests(&api);
    let mut changes = Vec::new();
    for _ in 0..5 {
        load.until_more(100).await?;
        let begin = Instant::now();
        proxy.discard_all();
        changes.push(begin..Instant::now());
    }
    load.until_more(200).await?;
    load.check(&changes)
}

#[tokio::test]
async fn connections_that_go_silent_are_replaced_and_the_process_stays_ready() -> Result<()> {
    let database = TestDatabase::create().await?;
    let (proxy, url) = database.behind_a_proxy("orders_read_api").await?;
    let vars = [("DATABASE_STATEMENT_TIMEOUT_MS", "4000"), ("READINESS_GRACE_MS", "5000")];
    let replica = Replica::start(&url, &vars)?;
    replica.until_ready_is(StatusCode::OK).await?;
    for path in ["/customers/alice/orders", "/customers/alice/orders?status=placed"] {
        assert_eq!(replica.get(path).await?.status(), StatusCode::OK);
    }
    proxy.silence_once();
    let silent = Instant::now();
    let (list, filtered) = tokio::join!(
        replica.get("/customers/alice/orders"),
        replica.get("/customers/alice/orders?status=placed")
    );
    let took = silent.elapsed();
    assert_eq!((list?.status(), filtered?.status()), (StatusCode::OK, StatusCode::OK), "after {took:?}");
    assert!(silent.elapsed() < Duration::from_secs(6), "{:?}", silent.elapsed());
    // Without requests, the check alone must find a connection that works.
    while silent.elapsed() < Duration::from_secs(6) {
        assert_eq!(replica.probe("/readyz").await?.status(), StatusCode::OK, "{:?}", silent.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_locked_table_does_not_make_the_process_unready() -> Result<()> {
    let api = Api::start().await?;
    api.until_ready_is(StatusCode::OK).await?;
    let mut session = api.database.connect().await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute("LOCK TABLE order_summary IN ACCESS EXCLUSIVE MODE").await?;
    let locked = Instant::now();
    // Twice `READINESS_GRACE_MS` of these tests.
    while locked.elapsed() < Duration::from_secs(3) {
        assert_eq!(api.get(&order(1)).await?.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(api.probe("/readyz").await?.status(), StatusCode::OK, "{:?}", locked.elapsed());
    }
    transaction.rollback().await?;
    assert_eq!(api.get(&order(1)).await?.status(), StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn a_missing_migration_is_named_until_it_is_applied() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let replica = Replica::start(&database.url("orders_read_api"), &[])?;
    until_not_ready_because(&replica.admin_url, "apply the migrations").await?;
    migrate::up(&database.superuser_url()).await?;
    replica.until_ready_is(StatusCode::OK).await?;
    let session = database.connect().await?;
    session.batch_execute("REVOKE SELECT (version) ON order_summary FROM orders_read").await?;
    session.batch_execute("REVOKE SELECT ON order_summary FROM orders_read").await?;
    until_not_ready_because(&replica.admin_url, "SELECT on order_summary.").await
}

/// A `search_path` that is set elsewhere than in the URL must not make the process read other tables.
#[tokio::test]
async fn tables_of_another_schema_are_named() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let name: String = session.query_one("SELECT current_database()::text", &[]).await?.get(0);
    session
        .batch_execute(
            "CREATE SCHEMA mine;
             GRANT USAGE ON SCHEMA mine TO orders_read;
             CREATE TABLE mine.order_summary (LIKE order_summary);
             GRANT SELECT ON mine.order_summary TO orders_read;
             CREATE SCHEMA bare;
             GRANT USAGE ON SCHEMA bare TO orders_read",
        )
        .await?;
    let replica = Replica::start(&database.url("orders_read_api"), &[])?;
    replica.until_ready_is(StatusCode::OK).await?;
    drop(replica);
    for (path, named) in [
        ("mine, public", "order_summary of schema mine, and not of public"),
        ("bare, public", "of schema public, and not of bare"),
        ("other, public", "search_path begins with other, which is no schema"),
        ("\"$user\", public", ""),
    ] {
        session.batch_execute(&format!("ALTER DATABASE {name} SET search_path = {path}")).await?;
        let replica = Replica::start(&database.url("orders_read_api"), &[])?;
        if named.is_empty() {
            replica.until_ready_is(StatusCode::OK).await?;
        } else {
            until_not_ready_because(&replica.admin_url, named).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_database_whose_encoding_is_not_utf8_is_named() -> Result<()> {
    let beside = TestDatabase::create_empty().await?;
    let session = beside.connect().await?;
    let name: String = session.query_one("SELECT current_database()::text", &[]).await?.get(0);
    let other = format!("{name}_latin1");
    let create = format!("CREATE DATABASE {other} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    session.batch_execute(&create).await?;
    let replica = Replica::start(&beside.url("orders_read_api").replace(&name, &other), &[])?;
    let named = until_not_ready_because(&replica.admin_url, "LATIN1").await;
    drop(replica);
    session.batch_execute(&format!("DROP DATABASE {other} WITH (FORCE)")).await?;
    named
}

/// The process ids of read-api's sessions.
const SESSIONS: &str =
    "SELECT pid FROM pg_stat_activity WHERE usename = 'orders_read_api' AND datname = current_database()";

/// How long a delayed check takes.
const SLOW_CHECK: Duration = Duration::from_millis(1_700);

/// A check that takes longer fails, and sessions are replaced.
const CHECK_LIMIT: Duration = Duration::from_secs(3);

/// Delays two checks. Returns whether the sessions are still the same, or nothing if the machine was so busy that a
/// check may have exceeded its limit, after which sessions are replaced.
async fn sessions_survive_slow_checks() -> Result<Option<bool>> {
    let (api, proxy) = Api::start_behind_a_proxy().await?;
    api.until_ready_is(StatusCode::OK).await?;
    assert_eq!(api.get("/customers/alice/orders").await?.status(), StatusCode::OK);
    let session = api.database.connect().await?;
    let pids =
        async || anyhow::Ok(session.query(SESSIONS, &[]).await?.iter().map(|row| row.get(0)).collect());
    let before: Vec<i32> = pids().await?;
    assert!(before.len() > 1, "{before:?}");
    let url = api.database.url_by_proxy("orders_projector", &proxy);
    let (beside, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);

    proxy.delay(SLOW_CHECK);
    let connections = proxy.connections();
    let start = Instant::now();
    let mut longest = Duration::ZERO;
    // Each slow check opens a new connection.
    while proxy.connections() < connections + 2 {
        assert!(start.elapsed() < SOON, "no check was slow");
        let start = Instant::now();
        beside.simple_query("SELECT 1").await?;
        longest = longest.max(start.elapsed());
    }
    proxy.delay(Duration::ZERO);
    assert_eq!(api.get("/customers/alice/orders").await?.status(), StatusCode::OK);
    api.until_ready_is(StatusCode::OK).await?;
    let after: Vec<i32> = pids().await?;
    let was_busy = longest > (SLOW_CHECK + CHECK_LIMIT) / 2;
    Ok((!was_busy).then(|| before.iter().all(|pid| after.contains(pid))))
}

#[tokio::test]
async fn on_a_slow_machine_the_connections_are_kept() -> Result<()> {
    let start = Instant::now();
    loop {
        match sessions_survive_slow_checks().await? {
            Some(are_kept) => {
                assert!(are_kept, "connections were replaced");
                return Ok(());
            }
            None => {
                ensure!(start.elapsed() < Duration::from_mins(1), "the machine is too busy for a result");
            }
        }
    }
}

#[derive(Debug, diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    number: i32,
}

async fn number(database: &Database, query: &'static str) -> Result<i32> {
    let found = database.run(move |connection| {
        diesel_async::RunQueryDsl::get_result::<Number>(diesel::sql_query(query), connection).boxed()
    });
    Ok(found.await?.number)
}

/// A division by zero is an error of an unknown kind, like that of a session whose prepared statements are gone.
#[tokio::test]
async fn a_statement_that_always_fails_leaves_the_connections_of_others_alone() -> Result<()> {
    let database = TestDatabase::create().await?;
    let vars = vec![("DATABASE_URL".to_owned(), database.url("orders_read_api"))];
    let config = DatabaseConfig::from_vars(&vars)?;
    let (healthy, odd) = (config.clone().with_pool_size(4).open("healthy")?, config.open("odd")?);
    let (start, mut failures, mut backends) = (Instant::now(), 0, std::collections::BTreeSet::new());
    let mut checks = 0;
    // At most one doubtful connection per second is checked. Continue until there are many more failures than that.
    while start.elapsed() < Duration::from_secs(2) || failures <= 2 * checks {
        assert!(start.elapsed() < Duration::from_secs(30), "only {failures} failures");
        // A session that worked before and fails now may be broken.
        assert_eq!(number(&odd, "SELECT 1 AS number").await?, 1);
        let beside = [(); 4].map(|()| number(&healthy, "SELECT pg_backend_pid() AS number"));
        let (failed, found) =
            tokio::join!(number(&odd, "SELECT 1 / 0 AS number"), futures_util::future::try_join_all(beside));
        assert!(failed.is_err());
        failures += 1;
        checks = usize::try_from(start.elapsed().as_secs())? + 2;
        backends.extend(found?);
    }
    assert!(backends.len() <= 4 * checks, "{} sessions beside {failures} failures", backends.len());
    Ok(())
}

#[tokio::test]
async fn options_of_the_url_are_in_force_in_every_notation() -> Result<()> {
    let database = TestDatabase::create().await?;
    let options = "-c%20WORK_MEM%3D5MB%20-c%20Statement_Timeout%3D9s%20-c%20post_auth_delay%3D0%20\
                   --IntervalStyle%3Diso_8601";
    let url = format!("{}?options={options}", database.url("orders_read_api"));
    let opened = DatabaseConfig::from_vars(&vec![("DATABASE_URL".to_owned(), url.clone())])?.open("test")?;
    let query = "SELECT (current_setting('work_mem') = '5MB' AND current_setting('statement_timeout') = '4s'
                 AND current_setting('intervalstyle') = 'iso_8601')::int AS number";
    assert_eq!(number(&opened, query).await?, 1);
    drop(opened);
    Replica::start(&url, &[])?.until_ready_is(StatusCode::OK).await
}
