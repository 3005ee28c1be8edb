//! Sessions that are spoilt while the process runs: a changed schema, discarded statements, silence, a pooler.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::FutureExt;
use local::test_database::TestDatabase;
use local::wait;
use read_api::adapter::postgres::BY_KEY_ONLY;
use reqwest::StatusCode;
use runtime::database::DatabaseConfig;
use tokio_util::sync::CancellationToken;

use crate::support::{Api, Replica, SOON, order};

/// Requests that go on until this is dropped.
struct Load {
    answered: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<(Instant, String)>>>,
    stop: CancellationToken,
}

impl Load {
    fn start(api: &Api) -> Self {
        let (answered, failures) = (Arc::new(AtomicU64::new(0)), Arc::default());
        let stop = CancellationToken::new();
        let paths = [
            "/customers/alice/orders".to_owned(),
            "/customers/alice/orders?status=placed".to_owned(),
            order(1),
            format!("{}?min_version=1", order(1)),
        ];
        for path in paths {
            let url = format!("{}{path}", api.url);
            let (answered, failures) = (Arc::clone(&answered), Arc::<Mutex<Vec<_>>>::clone(&failures));
            tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                let client = reqwest::Client::new();
                loop {
                    match client.get(&url).send().await.map(|response| response.status()) {
                        Ok(StatusCode::OK) => answered.fetch_add(1, Ordering::Relaxed),
                        other => {
                            failures
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .push((Instant::now(), format!("{url}: {other:?}")));
                            0
                        }
                    };
                }
            }));
        }
        Self { answered, failures, stop }
    }

    /// Waits until so many more requests have been answered well.
    async fn until_answered(&self, more: u64) -> Result<()> {
        let before = self.answered.load(Ordering::Relaxed);
        wait::until("requests to be answered", SOON, || async {
            let answered = self.answered.load(Ordering::Relaxed);
            if answered >= before + more {
                Ok(())
            } else {
                Err(self.failures.lock().unwrap_or_else(PoisonError::into_inner).last().cloned())
            }
        })
        .await?;
        Ok(())
    }

    /// Fails if a request failed before a change began, or later than a second after it was committed. While a change holds
    /// its lock, a request may wait for longer than it is allowed to.
    fn check(&self, changes: &[Range<Instant>]) -> Result<()> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let is_late = |at: &Instant| {
            changes.iter().all(|change| *at < change.start || *at > change.end + Duration::from_secs(1))
        };
        let late: Vec<_> = failures.iter().filter(|(at, _)| is_late(at)).collect();
        ensure!(late.is_empty(), "{} failures, the first: {:?}", late.len(), late.first());
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Types with the same wire format, for every column that is read.
const CHANGES: &[(&str, &str)] = &[
    ("last_item_sku", "varchar(64)"),
    ("customer_id", "varchar(128)"),
    ("status", "varchar(20)"),
    ("placed_at", "timestamptz(6)"),
    ("total_cents", "domain_bigint"),
    ("item_count", "domain_integer"),
    ("version", "domain_integer"),
    ("changed_in", "domain_bigint"),
    ("order_id", "domain_uuid"),
];

#[tokio::test]
async fn a_changed_column_type_fails_no_request() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 1), (2, "alice", 2)]).await?;
    let session = api.database.connect().await?;
    for name in ["bigint", "integer", "uuid"] {
        session.batch_execute(&format!("CREATE DOMAIN domain_{name} AS {name}")).await?;
    }
    let mut events = api.watch("alice", None).await?;
    assert_eq!(events.next().await?.context("no snapshot")?.name, "snapshot");
    let load = Load::start(&api);
    let mut changes = Vec::new();
    for (column, new_type) in CHANGES {
        load.until_answered(40).await?;
        let change = format!("ALTER TABLE order_summary ALTER COLUMN {column} TYPE {new_type}");
        let begin = Instant::now();
        session.batch_execute(&change).await?;
        changes.push(begin..Instant::now());
    }
    load.until_answered(200).await?;
    api.until_ready_is(StatusCode::OK).await?;
    load.check(&changes)
}

#[tokio::test]
async fn statements_that_are_discarded_in_every_session_fail_no_request() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy().await?;
    api.insert(&[(1, "alice", 1)]).await?;
    let load = Load::start(&api);
    let mut changes = Vec::new();
    for _ in 0..5 {
        load.until_answered(100).await?;
        let begin = Instant::now();
        proxy.discard_all();
        changes.push(begin..Instant::now());
    }
    load.until_answered(200).await?;
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
    // Without any request the check alone has to find a connection that answers.
    while silent.elapsed() < Duration::from_secs(6) {
        assert_eq!(replica.probe("/readyz").await?.status(), StatusCode::OK, "{:?}", silent.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_locked_table_is_no_reason_not_to_be_ready() -> Result<()> {
    let api = Api::start().await?;
    api.until_ready_is(StatusCode::OK).await?;
    let mut session = api.database.connect().await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute("LOCK TABLE order_summary IN ACCESS EXCLUSIVE MODE").await?;
    let locked = Instant::now();
    // Twice the grace of these tests.
    while locked.elapsed() < Duration::from_secs(3) {
        assert_eq!(api.get(&order(1)).await?.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(api.probe("/readyz").await?.status(), StatusCode::OK, "{:?}", locked.elapsed());
    }
    transaction.rollback().await?;
    assert_eq!(api.get(&order(1)).await?.status(), StatusCode::NOT_FOUND);
    Ok(())
}

async fn until_reason_names(replica: &Replica, named: &str) -> Result<()> {
    wait::until("the reason", SOON, || async {
        let said = async { anyhow::Ok(replica.probe("/readyz").await?.text().await?) };
        match said.await {
            Ok(said) if said.contains("/problems/unavailable") && said.contains(named) => Ok(()),
            other => Err(other),
        }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_missing_migration_is_named_until_it_is_applied() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let replica = Replica::start(&database.url("orders_read_api"), &[])?;
    until_reason_names(&replica, "apply the migrations").await?;
    migrate::up(&database.superuser_url()).await?;
    replica.until_ready_is(StatusCode::OK).await?;
    let session = database.connect().await?;
    session.batch_execute("REVOKE SELECT (version) ON order_summary FROM orders_read_api").await?;
    session.batch_execute("REVOKE SELECT ON order_summary FROM orders_read_api").await?;
    until_reason_names(&replica, "SELECT on order_summary.").await
}

#[tokio::test]
async fn a_database_that_cannot_hold_all_text_is_named() -> Result<()> {
    let beside = TestDatabase::create_empty().await?;
    let session = beside.connect().await?;
    let name: String = session.query_one("SELECT current_database()::text", &[]).await?.get(0);
    let other = format!("{name}_latin1");
    let create = format!("CREATE DATABASE {other} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    session.batch_execute(&create).await?;
    let replica = Replica::start(&beside.url("orders_read_api").replace(&name, &other), &[])?;
    let named = until_reason_names(&replica, "LATIN1").await;
    drop(replica);
    session.batch_execute(&format!("DROP DATABASE {other} WITH (FORCE)")).await?;
    named
}

#[derive(Debug, PartialEq, diesel::QueryableByName)]
struct Setting {
    #[diesel(sql_type = diesel::sql_types::Text)]
    value: String,
}

/// The configurations of `PgBouncer` that are found: its default, which refuses the start options, and what how-tos advise.
const POOLERS: [&str; 2] = ["", "ignore_startup_parameters = options,extra_float_digits"];

#[tokio::test]
async fn over_a_pooler_in_session_mode_every_setting_is_in_force() -> Result<()> {
    let database = TestDatabase::create().await?;
    for lines in POOLERS {
        let lines = format!("pool_mode = session\n{lines}");
        let Some((_pooler, url)) = database.behind_pgbouncer("orders_read_api", &lines)? else {
            eprintln!("skipped: PgBouncer is not installed");
            return Ok(());
        };
        let vars = vec![("DATABASE_URL".to_owned(), url.clone())];
        let opened = DatabaseConfig::from_vars(&vars)?.with_settings(BY_KEY_ONLY).open("test")?;
        let shown =
            "SELECT current_setting(name) AS value FROM unnest(ARRAY['statement_timeout', 'lock_timeout',
            'idle_in_transaction_session_timeout', 'enable_seqscan']) AS name";
        let settings: Vec<Setting> = opened
            .run(|connection| diesel_async::RunQueryDsl::load(diesel::sql_query(shown), connection).boxed())
            .await?;
        let settings: Vec<_> = settings.into_iter().map(|setting| setting.value).collect();
        assert_eq!(settings, ["4s", "300ms", "5s", "off"], "{lines}");
        drop(opened);
        let replica = Replica::start(&url, &[])?;
        replica.until_ready_is(StatusCode::OK).await?;
        for _ in 0..50 {
            assert_eq!(replica.get("/customers/alice/orders").await?.status(), StatusCode::OK);
        }
    }
    Ok(())
}

#[tokio::test]
async fn over_a_pooler_in_transaction_mode_it_is_not_ready_and_says_why() -> Result<()> {
    let database = TestDatabase::create().await?;
    for mode in ["transaction", "statement"] {
        let lines = format!("pool_mode = {mode}\nignore_startup_parameters = options");
        let Some((_pooler, url)) = database.behind_pgbouncer("orders_read_api", &lines)? else {
            eprintln!("skipped: PgBouncer is not installed");
            return Ok(());
        };
        // The second one finds the sessions with the settings that the first has left.
        for _ in 0..2 {
            let replica = Replica::start(&url, &[])?;
            until_reason_names(&replica, "use session mode").await?;
        }
    }
    Ok(())
}
