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
    let variables = [VARIABLES[0], VARIABLES[1], ("RUST_LOG", "trace")];
    let service =
        Service::start_with(&variables, ServiceKind::Projector, Path::new(PROGRAM), &url, 0, logs.path())?;
    scene.emit_all(&stories(2)).await?;
    until_count(&scene, "webhook_endpoints WHERE state = 'paused'", 1).await?;
    until_count(&scene, "deliveries WHERE endpoint = 1 AND failures > 0", 2).await?;
    service.stop()?;
    let log = fs::read_to_string(logs.path().join("projector.log"))?;
    assert!(log.contains("webhook endpoint paused") && log.contains("webhook was not delivered"));
    for line in log.lines() {
        let is_own = line.contains("\"target\":\"projector");
        for hidden in [secrets[0].as_str(), secrets[1].as_str(), "hunter2", "customer_id"] {
            assert!(!(is_own && line.contains(hidden)), "{hidden} in {line}");
        }
    }
    Ok(())
}
