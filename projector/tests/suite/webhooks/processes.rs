//! Real processes, which are killed, and what they log.

use std::fs;
use std::path::Path;

use anyhow::Result;
use testkit::services::{Service, ServiceKind};
use testkit::wait;

use super::receiver::{OK, Reaction, Receiver};
use super::support::{LIMIT, add, add_receiver, shared, stories, until_accepted, until_count};
use crate::support::{Scene, event};

const PROGRAM: &str = env!("CARGO_BIN_EXE_projector");

/// A lease lasts for this and 5 s more.
const VARIABLES: [(&str, &str); 2] = [("WEBHOOK_ALLOW_PRIVATE", "true"), ("WEBHOOK_TIMEOUT_MS", "500")];

fn start(scene: &Scene, logs: &Path) -> Result<Service> {
    let url = scene.database.url("orders_projector");
    Ok(Service::start_with(&VARIABLES, ServiceKind::Projector, Path::new(PROGRAM), &url, 0, logs)?)
}

#[tokio::test]
async fn projectors_that_are_killed_lose_nothing_and_repeat_only_whole_messages() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| Reaction::Slow(200, std::time::Duration::from_millis(10)))?;
    let endpoint = add_receiver(&scene, &receiver).await?;
    let logs = tempfile::tempdir()?;
    let mut running = vec![start(&scene, logs.path())?, start(&scene, logs.path())?];
    scene.emit_all(&stories(60)).await?;
    for accepted in [20, 60, 100] {
        wait::until("some messages", LIMIT, async || {
            let found = receiver.accepted().len();
            if found >= accepted { Ok(()) } else { Err(found) }
        })
        .await?;
        running.remove(0).kill();
        running.push(start(&scene, logs.path())?);
    }
    until_accepted(&receiver, 60).await?;
    until_count(&scene, "deliveries", 0).await?;
    for message in receiver.received() {
        message.verify(&endpoint.secret)?;
    }
    Ok(())
}

#[tokio::test]
async fn projectors_that_are_killed_while_they_feed_many_endpoints_neither_lose_nor_double_an_event()
-> Result<()> {
    let scene = Scene::create().await?;
    let receivers = (0..8).map(|_| Receiver::start()).collect::<Result<Vec<_>>>()?;
    for receiver in &receivers {
        add_receiver(&scene, receiver).await?;
    }
    let logs = tempfile::tempdir()?;
    let mut running = vec![start(&scene, logs.path())?, start(&scene, logs.path())?];
    let events = stories(24);
    let mut fed = 0;
    for chunk in events.chunks(18) {
        scene.emit_all(chunk).await?;
        // Some endpoints have been fed, and not all.
        fed += i64::try_from(chunk.len())?;
        wait::until("the next batch", LIMIT, async || {
            let newest = "SELECT max(checkpoint) FROM subscription_checkpoints";
            match scene.session.query_one(newest, &[]).await.map(|row| row.get::<_, i64>(0)) {
                Ok(newest) if newest > fed - 18 => Ok(()),
                other => Err(other),
            }
        })
        .await?;
        running.remove(0).kill();
        running.push(start(&scene, logs.path())?);
    }
    for receiver in &receivers {
        until_accepted(receiver, 24).await?;
        let ids: std::collections::BTreeSet<_> =
            receiver.received().iter().map(|message| message.id().to_owned()).collect();
        assert_eq!(ids.len(), events.len(), "what was repeated has the same id");
    }
    until_count(&scene, "deliveries", 0).await?;
    until_count(&scene, "(SELECT DISTINCT checkpoint FROM subscription_checkpoints) AS c", 1).await
}

#[tokio::test]
async fn a_process_stops_soon_although_a_receiver_hangs_and_another_one_sends_the_event_again() -> Result<()>
{
    let scene = Scene::create().await?;
    let (is_back, back) = shared(std::sync::atomic::AtomicBool::new(false));
    let receiver = Receiver::start_with(move |_| {
        if is_back.load(std::sync::atomic::Ordering::Relaxed) { OK } else { Reaction::Hang }
    })?;
    add_receiver(&scene, &receiver).await?;
    let logs = tempfile::tempdir()?;
    let mut first = start(&scene, logs.path())?;
    first.wait_until_ready().await?;
    scene.emit([event(1, 1)]).await?;
    wait::until("the message", LIMIT, async || {
        let found = receiver.received().len();
        if found >= 1 { Ok(()) } else { Err(found) }
    })
    .await?;
    let started = std::time::Instant::now();
    assert!(first.stop()?.success());
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());

    back.store(true, std::sync::atomic::Ordering::Relaxed);
    let _second = start(&scene, logs.path())?;
    until_count(&scene, "webhook_attempts WHERE error IS NULL", 1).await?;
    let messages = receiver.received();
    assert!(messages.len() >= 2 && messages.iter().all(|message| message.id() == messages[0].id()));
    Ok(())
}

#[tokio::test]
async fn no_log_line_has_a_secret_a_query_or_a_body() -> Result<()> {
    // What the libraries log at their lowest level is theirs.
    for (level, checked) in [("info", "\"target\":"), ("trace", "\"target\":\"projector")] {
        let (secrets, log) = failing_sends(level).await?;
        assert!(log.contains("webhook endpoint paused"), "{log}");
        assert_eq!(log.contains("\"level\":\"TRACE\""), level == "trace");
        for line in log.lines().filter(|line| line.contains(checked)) {
            for hidden in secrets.iter().map(String::as_str).chain(["hunter2", "customer_id"]) {
                assert!(!line.contains(hidden), "{hidden} in {line}");
            }
        }
    }
    Ok(())
}

/// The secrets, and the log at this level, of a process that cannot send.
async fn failing_sends(level: &str) -> Result<(Vec<String>, String)> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start_with(|_| Reaction::Close)?;
    let database = scene.open()?;
    let mut connection = database.session().await?;
    let refusing = Receiver::start_with(|_| Reaction::Status(410))?;
    let mut secrets = Vec::new();
    for receiver in [&receiver, &refusing] {
        secrets.push(add(&mut connection, &format!("{}?token=hunter2", receiver.url())).await?.secret);
    }
    let logs = tempfile::tempdir()?;
    let url = scene.database.url("orders_projector");
    let variables = [VARIABLES[0], VARIABLES[1], ("RUST_LOG", level)];
    let service =
        Service::start_with(&variables, ServiceKind::Projector, Path::new(PROGRAM), &url, 0, logs.path())?;
    scene.emit_all(&stories(2)).await?;
    until_count(&scene, "webhook_endpoints WHERE state = 'paused'", 1).await?;
    until_count(&scene, "deliveries WHERE endpoint = 1 AND failures > 0", 2).await?;
    service.stop()?;
    let log = fs::read_to_string(logs.path().join("projector.log"))?;
    Ok((secrets, log))
}
