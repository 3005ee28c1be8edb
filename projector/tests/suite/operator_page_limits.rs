//! What the operator's page does while the database or the log cannot be written, and while many pages are open.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use nix::sys::signal::Signal;
use reqwest::{Client, Response};
use serde_json::Value;
use testkit::ports;
use testkit::process::bind_to_this_thread;
use testkit::services::{Service, ServiceKind};
use testkit::wait;

use crate::operator_page::{Page, prepare};
use crate::support::{Scene, event};

const PROGRAM: &str = env!("CARGO_BIN_EXE_projector");
const LIMIT: Duration = Duration::from_secs(30);
const DISCARD: &str = r#"{"action":"discard_parked","id":1}"#;

async fn act(address: &str, body: &str) -> reqwest::Result<Response> {
    let post = Client::new().post(format!("{address}/operator/actions")).body(body.to_owned());
    post.header("content-type", "application/json").header("x-orders-action", "1").send().await
}

/// The status and `detail` of a problem.
async fn detail(response: Response) -> Result<(u16, String)> {
    let status = response.status().as_u16();
    let document: Value = serde_json::from_str(&response.text().await?)?;
    Ok((status, document.get("detail").and_then(Value::as_str).context("no detail")?.to_owned()))
}

#[tokio::test]
async fn while_the_database_is_read_only_actions_are_refused_at_once_and_the_log_says_why() -> Result<()> {
    let (scene, dir) = (Scene::create().await?, tempfile::tempdir()?);
    prepare(&scene).await?;
    let url = scene.database.url("orders_projector");
    let vars = [("ADMIN_ACTIONS", "on")];
    let mut service =
        Service::start_with(&vars, ServiceKind::Projector, PROGRAM.as_ref(), &url, 0, dir.path())?;
    service.wait_until_ready().await?;
    let read_only =
        format!("ALTER DATABASE {} SET default_transaction_read_only = on", scene.database.name());
    scene.session.batch_execute(&read_only).await?;
    // In a transaction of its own: sessions that are opened meanwhile are read-only too.
    let terminate = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
    scene.session.batch_execute(terminate).await?;
    let pause = r#"{"action":"pause_subscription","name":"statistics"}"#;
    let expected = (503, "The database is read-only. Nothing was done.".to_owned());
    for body in [DISCARD, r#"{"action":"pause_webhook","id":1}"#, pause] {
        // An idle connection that the server has closed may be noticed first.
        wait::until("a refusal", LIMIT, async || {
            let refused = act(service.admin_url(), body).await.map_err(|error| error.to_string())?;
            let refused = detail(refused).await.map_err(|error| error.to_string())?;
            if refused == expected { Ok(()) } else { Err(format!("{refused:?}")) }
        })
        .await?;
    }
    assert_eq!(scene.count("parked_events").await?, 3);
    let log = dir.path().join("projector.log");
    wait::until("the cause in the log", LIMIT, async || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut of_action = lines.filter(|line| line["message"] == "an action of the operator's page failed");
        let is_it = |line: &Value| line["error"].as_str().is_some_and(|error| error.contains("read-only"));
        if of_action.any(|line| is_it(&line)) { Ok(()) } else { Err(text) }
    })
    .await?;
    ensure!(service.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn while_the_log_cannot_be_written_actions_are_refused() -> Result<()> {
    let scene = Scene::create().await?;
    prepare(&scene).await?;
    let port = ports::free()?;
    let full = File::options().write(true).open("/dev/full")?;
    let mut command = Command::new(PROGRAM);
    let vars = scene.vars().into_iter().filter(|(name, _)| name != "ADMIN_PORT");
    command.envs(vars).env("ADMIN_PORT", port.to_string()).env("ADMIN_ACTIONS", "on");
    command.stdin(Stdio::null()).stdout(full).stderr(Stdio::null());
    bind_to_this_thread(&mut command, Signal::SIGKILL);
    let mut process = command.spawn()?;
    let refused = wait::until("a refusal", LIMIT, async || {
        let response = act(&format!("http://127.0.0.1:{port}"), DISCARD).await;
        response.map_err(|error| error.to_string())
    });
    let refused = detail(refused.await?).await?;
    let (_killed, _ended) = (process.kill(), process.wait());
    assert_eq!(refused, (503, "The action cannot be recorded. Nothing was done.".to_owned()));
    assert_eq!(scene.count("parked_events").await?, 3);
    Ok(())
}

/// Counts queries of the state by a function that each of them calls.
const COUNT_QUERIES: &str = "
    CREATE SEQUENCE state_queries;
    CREATE OR REPLACE FUNCTION oldest_transaction_seconds() RETURNS double precision
        LANGUAGE sql VOLATILE SECURITY DEFINER AS $$ SELECT nextval('state_queries')::double precision $$";

async fn refresh(client: &Client, address: SocketAddr) -> Result<()> {
    for path in ["/operator/state", "/operator/parked"] {
        client.get(format!("http://{address}{path}")).send().await?.error_for_status()?.bytes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_open_pages_query_as_often_as_one_and_events_are_still_applied() -> Result<()> {
    let page = Page::open(None).await?;
    page.scene.session.batch_execute(COUNT_QUERIES).await?;
    let begin = Instant::now();
    let client = Client::new();
    let pages = try_join_all((0..50).map(|_| async {
        // What it does in half a minute, without its pauses.
        for _ in 0..6 {
            refresh(&client, page.address).await?;
        }
        anyhow::Ok(())
    }));
    let applied = async {
        for order in 1..=20 {
            page.scene.emit([event(order, 1)]).await?;
        }
        wait::until("all events", LIMIT, async || match page.scene.count("order_summary").await {
            Ok(20) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        anyhow::Ok(())
    };
    tokio::try_join!(pages, applied)?;
    let seconds = begin.elapsed().as_secs();
    let queries = page.scene.session.query_one("SELECT nextval('state_queries')", &[]).await?;
    let queries = u64::try_from(queries.get::<_, i64>(0))?;
    // One a second, one at the start, and the one above.
    assert!(queries <= seconds + 3, "{queries} queries for 300 refreshes in {seconds} s");
    page.close().await
}
