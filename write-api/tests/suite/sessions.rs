//! Sessions that break while the process runs: a changed schema, discarded statements, silence, a read-only server.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use testkit::column_changes::column_changes;
use testkit::load::Load;
use testkit::wait;

use crate::support::{Api, order, place_and_pay, until_placed};

const SOON: Duration = Duration::from_secs(30);

fn orders(api: &Api) -> Load {
    Load::start([(); 3].map(|()| {
        let url = api.url.clone();
        move || {
            let url = url.clone();
            async move { place_and_pay(&url).await }
        }
    }))
}

#[tokio::test]
async fn after_a_column_type_changed_requests_fail_for_one_second_at_most() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    let load = orders(&api);
    let mut changes = Vec::new();
    for change in column_changes(&session, "orders_write_api").await? {
        load.until_more(10).await?;
        let begin = Instant::now();
        session.batch_execute(&change.statement).await?;
        changes.push(begin..Instant::now());
    }
    load.until_more(50).await?;
    api.until_ready_is(StatusCode::OK).await?;
    load.check(&changes)
}

#[tokio::test]
async fn after_discard_all_requests_fail_for_one_second_at_most() -> Result<()> {
    let (api, proxy) = Api::start_behind_a_proxy(&[]).await?;
    let load = orders(&api);
    let mut changes = Vec::new();
    for _ in 0..5 {
        load.until_more(20).await?;
        let begin = Instant::now();
        proxy.discard_all();
        changes.push(begin..Instant::now());
    }
    load.until_more(50).await?;
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
async fn a_locked_table_does_not_make_the_process_unready() -> Result<()> {
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
    // Only the checks succeed, so each must be recorded before the previous one expires.
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

/// The columns that the process reads or writes. The other columns of the outbox have defaults.
const COLUMNS: &str = "SELECT attrelid::regclass || '.' || attname FROM pg_attribute
                       WHERE attnum > 0 AND NOT attisdropped AND (attrelid = 'orders'::regclass
                           OR (attrelid = 'outbox'::regclass AND attname IN ('kind', 'payload')))";

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
            let body = async { anyhow::Ok(api.probe("/readyz").await?.text().await?) }.await;
            if matches!(&body, Ok(body) if body.contains(&column)) { Ok(()) } else { Err((&column, body)) }
        })
        .await?;
        session.batch_execute(&format!("ALTER TABLE {table} RENAME missing TO {name}")).await?;
        api.until_ready_is(StatusCode::OK).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_read_only_server_is_refused_until_it_accepts_writes_again() -> Result<()> {
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
