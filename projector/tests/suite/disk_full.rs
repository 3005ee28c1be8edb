//! A full disk: short rows may still fit where longer ones do not. No event is at fault.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use projector::database;
use service_kit::database::DatabaseConfig;
use service_kit::telemetry::chain;
use shared_events::{OrderEvent, OrderFacts, OrderItem};
use tempfile::TempDir;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use tokio_postgres::{Client, NoTls};

use crate::support::{Scene, Worker, drain, event};

/// An event with the largest possible summary.
fn large(order: u128) -> OrderEvent {
    let mut event = event(order, 1);
    event.order.customer_id = "😀".repeat(128);
    event.order.last_item_sku = "😀".repeat(64);
    event
}

async fn connect(server: &PrivateServer) -> Result<Client> {
    let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(session)
}

/// Limits the size of files for all processes that the server starts from now on.
fn limit_files(data: &Path, limit: &str) -> Result<()> {
    let pid_file = std::fs::read_to_string(data.join("postmaster.pid"))?;
    let pid = pid_file.lines().next().context("no process id")?;
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", pid, &format!("--fsize={limit}:unlimited")]);
    // As the server's own user, because root cannot always change the limits of other users.
    let owner = std::fs::metadata(data)?;
    if owner.uid() != std::fs::metadata("/proc/self")?.uid() {
        prlimit.uid(owner.uid()).gid(owner.gid());
    }
    let status = prlimit.status()?;
    ensure!(status.success(), "prlimit: {status}");
    Ok(())
}

/// Fills the table with short rows, until its last page has room for a few more and not for a long one.
async fn fill(session: &Client) -> Result<i64> {
    // The table must be larger than a WAL file (16 MB) and larger than its index, so that only the table reaches the
    // limit.
    let fill = "
        ALTER TABLE order_summary SET (autovacuum_enabled = off);
        DROP INDEX order_summary_of_customer, order_summary_by_status, order_summary_changes;
        CREATE FUNCTION insert_rows(first int, last int) RETURNS int LANGUAGE sql AS $$
            WITH new AS (INSERT INTO order_summary
                (order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version)
                SELECT ('f' || lpad(to_hex(n), 31, '0'))::uuid, 'customer', 1, 'placed', now(), 1, 'sku', 1
                FROM generate_series(first, last) AS n RETURNING (ctid::text::point)[0]::int AS page)
            SELECT max(page) FROM new $$;
        SELECT insert_rows(1, 160000);
        DO $$
        DECLARE n int := 160000; page int := insert_rows(160001, 160001); on_page int;
        BEGIN
            LOOP
                n := n + 2; EXIT WHEN insert_rows(n, n) > page; n := n - 1;
            END LOOP;
            SELECT count(*) INTO on_page FROM order_summary WHERE ctid >= format('(%s,0)', page)::tid
                AND ctid < format('(%s,0)', page + 1)::tid;
            PERFORM insert_rows(n + 1, n + on_page - 4);
        END $$";
    session.batch_execute(fill).await?;
    Ok(session.query_one("SELECT pg_relation_size('order_summary')", &[]).await?.get(0))
}

async fn count(session: &Client, table: &str) -> Result<i64> {
    Ok(session.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0))
}

/// A server on which no file may grow beyond one that has just been filled, and a worker.
struct FullDisk {
    session: Client,
    worker: Worker,
    data: PathBuf,
    _server: PrivateServer,
    _dir: TempDir,
}

impl FullDisk {
    async fn after(fill: impl AsyncFnOnce(&Client) -> Result<i64>) -> Result<Self> {
        let dir = tempfile::tempdir_in("/tmp")?;
        // The server's own user needs access.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let data = dir.path().join("data");
        let server =
            PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: Some(data.clone()) })?;
        migrate::up(&server.superuser_url("postgres")).await?;
        let session = connect(&server).await?;
        let size = fill(&session).await?;
        ensure!(size > 16 * 1024 * 1024, "the longest file has {size} bytes only");
        limit_files(&data, &size.to_string())?;
        let vars = vec![("DATABASE_URL".to_owned(), server.url("orders_projector", "postgres"))];
        let database = database::open_for_batches(&DatabaseConfig::from_vars(&vars)?, "test")?;
        let worker = Worker::new(database, projector::projections(), 100);
        Ok(Self { session, worker, data, _server: server, _dir: dir })
    }

    async fn emit(&self, event: OrderEvent) -> Result<()> {
        let encoded = event.encode()?;
        let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json)";
        self.session.execute(insert, &[&encoded.kind, &encoded.payload]).await?;
        Ok(())
    }

    async fn end(&self) -> Result<()> {
        limit_files(&self.data, "unlimited")?;
        let close =
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'test'";
        self.session.execute(close, &[]).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_long_event_is_not_parked_while_only_short_rows_fit() -> Result<()> {
    let disk = FullDisk::after(fill).await?;
    disk.emit(event(1, 1)).await?;
    assert_eq!(drain(&disk.worker).await?, (1, 0), "a short row fits");
    for order in 2..=11 {
        disk.emit(large(order)).await?;
    }
    for _ in 0..3 {
        let error = disk.worker.run_once().await.unwrap_err();
        assert!(chain(&error).contains("could not extend file"), "{error:?}");
    }
    assert_eq!(
        (count(&disk.session, "outbox").await?, count(&disk.session, "parked_events").await?),
        (10, 0)
    );
    disk.end().await?;
    assert_eq!(drain(&disk.worker).await?, (10, 0));
    Ok(())
}

/// Makes today's partition of the event log the largest file.
async fn fill_log(session: &Client) -> Result<i64> {
    let fill = "INSERT INTO event_log
        SELECT n, 'order_placed', to_json(repeat('x', 1500)), NULL, now() FROM generate_series(-20000, -1) AS n";
    session.batch_execute(fill).await?;
    let size =
        "SELECT max(pg_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'event_log'::regclass";
    Ok(session.query_one(size, &[]).await?.get(0))
}

#[tokio::test]
async fn if_the_event_log_cannot_grow_nothing_is_claimed() -> Result<()> {
    let disk = FullDisk::after(fill_log).await?;
    for order in 1..=10 {
        disk.emit(large(order)).await?;
    }
    for _ in 0..3 {
        let error = disk.worker.run_once().await.unwrap_err();
        assert!(chain(&error).contains("could not extend file"), "{error:?}");
    }
    assert_eq!(count(&disk.session, "outbox").await?, 10);
    assert_eq!(
        count(&disk.session, "order_summary").await? + count(&disk.session, "parked_events").await?,
        0
    );
    disk.end().await?;
    assert_eq!(drain(&disk.worker).await?, (10, 0));
    assert_eq!(count(&disk.session, "event_log WHERE position > 0").await?, 10);
    Ok(())
}

/// Makes the primary key the largest file, with room for some more rows in each of its pages.
async fn fill_index(session: &Client) -> Result<i64> {
    let fill = "
        ALTER TABLE order_summary SET (autovacuum_enabled = off);
        DROP INDEX order_summary_of_customer, order_summary_by_status, order_summary_changes;
        INSERT INTO order_summary
            (order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version)
            SELECT ('f' || lpad(to_hex(n), 31, '0'))::uuid, 'customer', 1, 'placed', now(), 1, 'sku', 1
            FROM generate_series(1, 60000) AS n;
        ALTER INDEX order_summary_pkey SET (fillfactor = 10);
        REINDEX INDEX order_summary_pkey;
        CHECKPOINT";
    session.batch_execute(fill).await?;
    Ok(session.query_one("SELECT pg_relation_size('order_summary_pkey')", &[]).await?.get(0))
}

#[tokio::test]
async fn an_event_that_needs_a_new_index_page_on_a_full_disk_is_not_parked() -> Result<()> {
    const EVENTS: u128 = 600;
    let disk = FullDisk::after(fill_index).await?;
    for order in 1..=EVENTS {
        disk.emit(event(order, 1)).await?;
    }
    let error = loop {
        if let Err(error) = disk.worker.run_once().await {
            break error;
        }
        assert_eq!(count(&disk.session, "parked_events").await?, 0);
        ensure!(count(&disk.session, "outbox").await? > 0, "the page did not fill up");
    };
    assert!(chain(&error).contains("could not extend file"), "{error:?}");
    assert_eq!(count(&disk.session, "parked_events").await?, 0);
    disk.end().await?;
    drain(&disk.worker).await?;
    assert_eq!(
        count(&disk.session, "order_summary WHERE order_id < 'f0000000-0000-0000-0000-000000000000'").await?,
        i64::try_from(EVENTS)?
    );
    Ok(())
}

/// All errors about missing resources, raised for long rows only.
#[tokio::test]
async fn if_the_control_fails_in_the_same_way_no_event_is_parked() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    for code in ["53100", "53200", "53400", "54000", "58030", "XX000", "XX002"] {
        let fail = format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'out of something' USING ERRCODE = '{code}'; END $$;
             CREATE TRIGGER fail BEFORE INSERT ON order_summary FOR EACH ROW
                 WHEN (octet_length(NEW.customer_id || NEW.last_item_sku) > 700) EXECUTE FUNCTION fail()"
        );
        scene.session.batch_execute(&fail).await?;
        scene.emit([event(1, 1), large(2), large(3), event(4, 1)]).await?;
        let error = worker.run_once().await.unwrap_err();
        assert!(chain(&error).contains("out of something"), "{code}: {error:?}");
        assert_eq!((scene.count("outbox").await?, scene.count("parked_events").await?), (4, 0), "{code}");
        scene.session.batch_execute("DROP TRIGGER fail ON order_summary").await?;
        assert_eq!(drain(&worker).await?, (4, 0), "{code}");
    }
    Ok(())
}

type SetFact = fn(&mut OrderFacts, String);

/// A shipped order with one long fact: 700 bytes, 900 in JSON.
fn with_long_fact(order: u128, set: SetFact) -> OrderEvent {
    let mut event = event(order, 3);
    set(&mut event.facts, "\"😀c\\".repeat(100));
    event
}

/// The same for errors about one fact, such as a column that somebody has made narrower.
#[tokio::test]
async fn an_error_that_a_control_with_facts_of_the_same_size_gets_too_parks_no_event() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    let facts: [(&str, SetFact); 4] = [
        ("carrier", |facts, long| facts.carrier = Some(long)),
        ("tracking_number", |facts, long| facts.tracking_number = Some(long)),
        ("cancel_reason", |facts, long| facts.cancel_reason = Some(long)),
        ("items", |facts, long| {
            facts.items = Some(vec![OrderItem { sku: long, quantity: 1, price_cents: i64::MAX }]);
        }),
    ];
    scene
        .session
        .batch_execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'out of something' USING ERRCODE = '53100'; END $$",
        )
        .await?;
    for (fact, set) in facts {
        let long = with_long_fact(2, set);
        let fail = format!(
            "CREATE TRIGGER fail BEFORE INSERT ON order_summary FOR EACH ROW
                 WHEN (octet_length(NEW.{fact}::text) >= 700) EXECUTE FUNCTION fail()"
        );
        scene.session.batch_execute(&fail).await?;
        scene.emit([event(1, 1), long, event(3, 1)]).await?;
        let error = worker.run_once().await.unwrap_err();
        assert!(chain(&error).contains("out of something"), "{fact}: {error:?}");
        assert_eq!((scene.count("outbox").await?, scene.count("parked_events").await?), (3, 0), "{fact}");
        scene
            .session
            .batch_execute("DROP TRIGGER fail ON order_summary; TRUNCATE outbox, order_summary")
            .await?;
    }
    Ok(())
}
