//! Sessions that are spoilt while the process runs: a changed schema, discarded statements, silence, a server that only reads.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use local::fault_proxy::FaultProxy;
use local::postgres::{PrivateServer, ServerOptions, Tuning};
use local::wait;
use reqwest::StatusCode;
use serde_json::Value;
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;
use write_api::Config;

use crate::support::{Api, order};

const SOON: Duration = Duration::from_secs(10);

/// Orders that are placed and paid, one after the other, until this is dropped.
struct Load {
    paid: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<(Instant, String)>>>,
    stop: CancellationToken,
}

impl Load {
    fn start(api: &Api) -> Self {
        let (paid, failures) = (Arc::new(AtomicU64::new(0)), Arc::<Mutex<Vec<_>>>::default());
        let stop = CancellationToken::new();
        for _ in 0..3 {
            let (url, paid, failures) = (api.url.clone(), Arc::clone(&paid), Arc::clone(&failures));
            tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                loop {
                    match place_and_pay(&url).await {
                        Ok(()) => paid.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            failures
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .push((Instant::now(), format!("{error:#}")));
                            0
                        }
                    };
                }
            }));
        }
        Self { paid, failures, stop }
    }

    async fn until_paid(&self, more: u64) -> Result<()> {
        let before = self.paid.load(Ordering::Relaxed);
        wait::until("orders to be paid", SOON, || async {
            let paid = self.paid.load(Ordering::Relaxed);
            if paid >= before + more {
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

async fn place_and_pay(url: &str) -> Result<()> {
    let client = reqwest::Client::new();
    let placed = client.post(format!("{url}/orders")).json(&order()).send().await?.error_for_status()?;
    let placed: Value = placed.json().await?;
    let id = placed.get("order_id").and_then(Value::as_str).unwrap_or_default();
    let pay = format!("{url}/orders/{id}/pay");
    client.post(pay).header("content-length", "0").send().await?.error_for_status()?;
    Ok(())
}

/// Types with the same wire format, for every column that is read or written.
const CHANGES: &[(&str, &str, &str)] = &[
    ("orders", "customer_id", "varchar(128)"),
    ("orders", "items", "domain_jsonb"),
    ("orders", "total_cents", "domain_bigint"),
    ("orders", "status", "varchar(20)"),
    ("orders", "version", "domain_integer"),
    ("orders", "placed_at", "timestamptz(6)"),
    ("orders", "updated_at", "timestamptz(6)"),
    ("orders", "order_id", "domain_uuid"),
    ("outbox", "kind", "varchar(64)"),
    ("outbox", "payload", "domain_json"),
];

#[tokio::test]
async fn a_changed_column_type_fails_no_request() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    for name in ["bigint", "integer", "uuid", "json", "jsonb"] {
        session.batch_execute(&format!("CREATE DOMAIN domain_{name} AS {name}")).await?;
    }
    let load = Load::start(&api);
    let mut changes = Vec::new();
    for (table, column, new_type) in CHANGES {
        load.until_paid(10).await?;
        let begin = Instant::now();
        session.batch_execute(&format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {new_type}")).await?;
        changes.push(begin..Instant::now());
    }
    load.until_paid(50).await?;
    api.until_ready_is(StatusCode::OK).await?;
    load.check(&changes)
}

#[tokio::test]
async fn statements_that_are_discarded_in_every_session_fail_no_request() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    let load = Load::start(&api);
    let mut changes = Vec::new();
    for _ in 0..5 {
        load.until_paid(20).await?;
        let begin = Instant::now();
        proxy.discard_all();
        changes.push(begin..Instant::now());
    }
    load.until_paid(50).await?;
    load.check(&changes)
}

#[tokio::test]
async fn connections_that_go_silent_are_replaced_and_the_process_stays_ready() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[("READINESS_GRACE_MS", "5000")]).await?;
    api.until_ready_is(StatusCode::OK).await?;
    place_and_pay(&api.url).await?;
    proxy.silence_once();
    let silent = Instant::now();
    let (paid, ()) = tokio::join!(place_and_pay(&api.url), async {
        while silent.elapsed() < Duration::from_secs(6) {
            let ready = api.probe("/readyz").await.map(|response| response.status());
            assert!(matches!(ready, Ok(StatusCode::OK)), "{ready:?} after {:?}", silent.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    paid?;
    place_and_pay(&api.url).await
}

#[tokio::test]
async fn a_locked_table_is_no_reason_not_to_be_ready() -> Result<()> {
    let api = Api::start_with(&[("READINESS_GRACE_MS", "1000"), ("WRITE_DEADLINE_MS", "1000")]).await?;
    api.until_ready_is(StatusCode::OK).await?;
    let mut session = api.database.connect().await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute("LOCK TABLE orders, outbox IN ACCESS EXCLUSIVE MODE").await?;
    let locked = Instant::now();
    let is_over = || locked.elapsed() > Duration::from_secs(3);
    let placing = async {
        while !is_over() {
            assert_eq!(api.place(&order()).await?.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        anyhow::Ok(())
    };
    // Nothing but the checks succeeds, so that each has to be recorded before the last one has expired.
    let probing = async {
        while !is_over() {
            assert_eq!(api.probe("/readyz").await?.status(), StatusCode::OK, "{:?}", locked.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(placing, probing)?;
    transaction.rollback().await?;
    place_and_pay(&api.url).await
}

/// The columns that the process writes or reads; the others of the outbox have defaults.
const COLUMNS: &str = "SELECT attrelid::regclass || '.' || attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped \
                       AND (attrelid = 'orders'::regclass OR (attrelid = 'outbox'::regclass AND attname IN ('kind', 'payload')))";

#[tokio::test]
async fn each_column_that_a_missing_migration_would_add_is_named() -> Result<()> {
    let api = Api::start_with(&[("READINESS_GRACE_MS", "400")]).await?;
    api.until_ready_is(StatusCode::OK).await?;
    let session = api.database.connect().await?;
    let columns: Vec<String> = session.query(COLUMNS, &[]).await?.iter().map(|row| row.get(0)).collect();
    ensure!(columns.len() > 10, "{columns:?}");
    for column in columns {
        let (table, name) = column.split_once('.').unwrap_or_default();
        session.batch_execute(&format!("ALTER TABLE {table} RENAME {name} TO missing")).await?;
        wait::until("the column to be named", SOON, || async {
            let said = async { anyhow::Ok(api.probe("/readyz").await?.text().await?) }.await;
            if matches!(&said, Ok(said) if said.contains(&column)) { Ok(()) } else { Err((&column, said)) }
        })
        .await?;
        session.batch_execute(&format!("ALTER TABLE {table} RENAME missing TO {name}")).await?;
        api.until_ready_is(StatusCode::OK).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_only_reads_is_refused_until_it_writes_again() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[("READINESS_GRACE_MS", "1000")]).await?;
    place_and_pay(&api.url).await?;
    api.until_ready_is(StatusCode::OK).await?;
    let session = api.database.connect().await?;
    let role = "ALTER ROLE orders_write_api IN DATABASE";
    let name: String = session.query_one("SELECT current_database()::text", &[]).await?.get(0);
    session.batch_execute(&format!("{role} {name} SET default_transaction_read_only = on")).await?;
    proxy.cut_once();
    api.until_ready_is(StatusCode::SERVICE_UNAVAILABLE).await?;
    assert_eq!(api.place(&order()).await?.status(), StatusCode::SERVICE_UNAVAILABLE);
    session.batch_execute(&format!("{role} {name} RESET default_transaction_read_only")).await?;
    until_placed(&api.url).await?;
    api.until_ready_is(StatusCode::OK).await
}

async fn until_placed(url: &str) -> Result<()> {
    wait::until("an order to be placed", Duration::from_secs(2), || async {
        place_and_pay(url).await.map_err(|error| format!("{error:#}"))
    })
    .await?;
    Ok(())
}

async fn connect(server: &PrivateServer) -> Result<Client> {
    let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(session)
}

#[tokio::test]
async fn after_a_switchover_writes_go_to_the_new_primary() -> Result<()> {
    let first = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
    migrate::up(&first.superuser_url("postgres")).await?;
    let second = PrivateServer::start_standby_of(&first)?;
    let socket = |server: &PrivateServer| server.socket_dir().join(".s.PGSQL.5432");
    let proxy = FaultProxy::start(socket(&first)).await?;
    let database_url = format!("postgres://orders_write_api@127.0.0.1:{}/postgres", proxy.port());
    let vars = [
        ("DATABASE_URL", database_url.as_str()),
        ("PORT", "0"),
        ("ADMIN_PORT", "0"),
        ("READINESS_GRACE_MS", "1000"),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let stop = CancellationToken::new();
    let server = write_api::bind(&Config::from_vars(&vars)?, stop.clone())?;
    let _stop = stop.drop_guard();
    let url = format!("http://{}", server.address());
    let ready = format!("http://{}/readyz", server.admin_address());
    tokio::spawn(server.run());
    until_placed(&url).await?;

    // The old primary only reads, with the sessions that it has; then the address leads to the standby.
    let old = connect(&first).await?;
    old.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await?;
    old.batch_execute("SELECT pg_reload_conf()").await?;
    wait::until("writes to fail", SOON, || async {
        if place_and_pay(&url).await.is_err() { Ok(()) } else { Err(()) }
    })
    .await?;
    proxy.lead_to(socket(&second));
    proxy.cut_once();
    wait::until("readiness to go off", SOON, || async {
        let status = reqwest::get(&ready).await.map(|response| response.status());
        if matches!(status, Ok(StatusCode::SERVICE_UNAVAILABLE)) { Ok(()) } else { Err(status) }
    })
    .await?;
    let promoted = connect(&second).await?;
    promoted.batch_execute("SELECT pg_promote()").await?;
    until_placed(&url).await?;
    wait::until("readiness to go on", SOON, || async {
        let status = reqwest::get(&ready).await.map(|response| response.status());
        if matches!(status, Ok(StatusCode::OK)) { Ok(()) } else { Err(status) }
    })
    .await?;

    // The address leads to the new primary while a session is kept to the old one, which has become read-only.
    let placed: i64 = promoted.query_one("SELECT count(*) FROM orders", &[]).await?.get(0);
    assert!(placed >= 2);
    promoted.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await?;
    promoted.batch_execute("SELECT pg_reload_conf()").await?;
    proxy.lead_to(socket(&first));
    old.batch_execute("ALTER SYSTEM RESET default_transaction_read_only").await?;
    old.batch_execute("SELECT pg_reload_conf()").await?;
    until_placed(&url).await
}
