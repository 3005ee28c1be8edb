//! Switchover and failover between a primary and its standby.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use reqwest::StatusCode;
use testkit::fault_proxy::FaultProxy;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::readiness::until_not_ready_because;
use testkit::wait;
use tokio_postgres::{Client, NoTls};

use crate::support::{Replica, order, place_and_pay, until_placed};

const SOON: Duration = Duration::from_secs(30);

async fn connect(server: &PrivateServer) -> Result<Client> {
    let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(session)
}

async fn make_read_only(primary: &Client, is_read_only: bool) -> Result<()> {
    let change = if is_read_only {
        "SET default_transaction_read_only = on"
    } else {
        "RESET default_transaction_read_only"
    };
    primary.batch_execute(&format!("ALTER SYSTEM {change}")).await?;
    Ok(primary.batch_execute("SELECT pg_reload_conf()").await?)
}

fn socket(server: &PrivateServer) -> PathBuf {
    server.socket_dir().join(".s.PGSQL.5432")
}

/// A primary, its standby, and a write-api behind a proxy that leads to the primary.
struct Scene {
    first: PrivateServer,
    second: PrivateServer,
    proxy: FaultProxy,
    api: Replica,
}

impl Scene {
    async fn start() -> Result<Self> {
        let first = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
        migrate::up(&first.superuser_url("postgres")).await?;
        let second = PrivateServer::start_standby_of(&first)?;
        let proxy = FaultProxy::start(socket(&first)).await?;
        let database_url = format!("postgres://orders_write_api@127.0.0.1:{}/postgres", proxy.port());
        let api = Replica::start(&database_url, &[("READINESS_GRACE_MS", "1000")])?;
        until_placed(&api.url).await?;
        Ok(Self { first, second, proxy, api })
    }
}

#[tokio::test]
async fn after_a_switchover_writes_go_to_the_new_primary() -> Result<()> {
    let Scene { first, second, proxy, api } = Scene::start().await?;

    // The old primary becomes read-only and keeps its sessions. Then the address leads to the standby.
    let old = connect(&first).await?;
    make_read_only(&old, true).await?;
    wait::until("writes to fail", SOON, || async {
        if place_and_pay(&api.url).await.is_err() { Ok(()) } else { Err(()) }
    })
    .await?;
    proxy.route_to(socket(&second));
    proxy.cut_once();
    api.until_ready_is(StatusCode::SERVICE_UNAVAILABLE).await?;
    let promoted = connect(&second).await?;
    promoted.batch_execute("SELECT pg_promote()").await?;
    until_placed(&api.url).await?;
    api.until_ready_is(StatusCode::OK).await?;

    // The address leads to another server, while a session to the old one, which has become read-only, stays open.
    let placed: i64 = promoted.query_one("SELECT count(*) FROM orders", &[]).await?.get(0);
    assert!(placed >= 2);
    make_read_only(&promoted, true).await?;
    proxy.route_to(socket(&first));
    make_read_only(&old, false).await?;
    until_placed(&api.url).await
}

#[tokio::test]
async fn an_old_primary_that_returns_as_a_standby_is_refused() -> Result<()> {
    let Scene { first, second, proxy, api } = Scene::start().await?;
    api.until_ready_is(StatusCode::OK).await?;
    drop(first);
    let promoted = connect(&second).await?;
    promoted.batch_execute("SELECT pg_promote()").await?;
    let returned = PrivateServer::start_standby_of(&second)?;
    proxy.route_to(socket(&returned));
    until_not_ready_because(&api.admin_url, "read-only").await?;
    assert_eq!(api.place(&order()).await?.status(), StatusCode::SERVICE_UNAVAILABLE);
    let stored: i64 = promoted.query_one("SELECT count(*) FROM orders", &[]).await?.get(0);

    proxy.route_to(socket(&second));
    until_placed(&api.url).await?;
    api.until_ready_is(StatusCode::OK).await?;
    let more: i64 = promoted.query_one("SELECT count(*) FROM orders", &[]).await?.get(0);
    assert!(more > stored, "{more} orders, {stored} before");

    // The returned server follows the new primary, so that it can take over with all orders.
    drop(second);
    proxy.route_to(socket(&returned));
    connect(&returned).await?.batch_execute("SELECT pg_promote()").await?;
    until_placed(&api.url).await?;
    let kept: i64 = connect(&returned).await?.query_one("SELECT count(*) FROM orders", &[]).await?.get(0);
    assert!(kept > more, "{kept} orders, {more} before");
    Ok(())
}
