//! `projector parked`: what an operator can do with parked events.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use projector::batch::BatchOutcome;
use serde_json::{Value, json};

use crate::support::{Scene, drain, event};

const PROGRAM: &str = env!("CARGO_BIN_EXE_projector");

fn run(scene: &Scene, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(PROGRAM);
    command.arg("parked").args(arguments).stdin(Stdio::null());
    Ok(command.env_clear().env("DATABASE_URL", scene.database.url("orders_projector")).output()?)
}

fn stdout(output: &Output) -> Result<&str> {
    ensure!(output.status.success(), "{output:?}");
    Ok(std::str::from_utf8(&output.stdout)?)
}

fn json_output(output: &Output) -> Result<Value> {
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn ids(events: &Value) -> Vec<i64> {
    events.as_array().into_iter().flatten().filter_map(|event| event.get("id")?.as_i64()).collect()
}

/// Three parked events of an unknown kind.
async fn scene() -> Result<Scene> {
    let scene = Scene::create().await?;
    for ribbon in ["red", "green", "blue"] {
        scene.emit_raw("order_gift_wrapped", &json!({ "ribbon": ribbon }).to_string()).await?;
    }
    assert_eq!(drain(&*scene.worker(10)?).await?, (0, 3));
    Ok(scene)
}

#[tokio::test]
async fn list_shows_id_kind_attempts_and_reason_of_each_and_whether_there_are_more() -> Result<()> {
    let scene = scene().await?;
    let output = run(&scene, &["list", "--limit", "2"])?;
    let lines: Vec<_> = stdout(&output)?.lines().collect();
    let [first, second, more] = lines[..] else { panic!("{lines:?}") };
    for (line, id) in [(first, "1  "), (second, "2  ")] {
        assert!(
            line.starts_with(id) && line.contains("order_gift_wrapped  attempts 1, next attempt 20"),
            "{line}"
        );
        assert!(line.ends_with(": the kind is not known"), "{line}");
    }
    assert_eq!(more, "there are more: --after 2");
    assert_eq!(stdout(&run(&scene, &["list", "--after", "3"])?)?, "no event is parked\n");
    Ok(())
}

#[tokio::test]
async fn list_and_show_print_events_with_payloads_as_json() -> Result<()> {
    let scene = scene().await?;
    assert_eq!(ids(&json_output(&run(&scene, &["list", "--json"])?)?), [1, 2, 3]);
    assert_eq!(ids(&json_output(&run(&scene, &["show", "--all", "--json"])?)?), [1, 2, 3]);
    let shown = json_output(&run(&scene, &["show", "2", "--json"])?)?;
    let event = shown.get(0).context("no event")?;
    assert_eq!(event["payload"], json!({"ribbon": "green"}));
    assert_eq!((&event["attempts"], &event["error"]), (&json!(1), &json!("the kind is not known")));
    assert!(event["next_attempt_at"].is_string() && event["parked_at"].is_string(), "{event}");
    Ok(())
}

#[tokio::test]
async fn retry_makes_events_due_also_those_left_for_an_operator_and_keeps_the_reason() -> Result<()> {
    let scene = scene().await?;
    scene.session.batch_execute("UPDATE parked_events SET next_attempt_at = NULL, attempts = 12").await?;
    assert_eq!(scene.worker(10)?.retry_once().await?, BatchOutcome::Empty);

    let output = run(&scene, &["retry", "1", "3"])?;
    assert_eq!(stdout(&output)?, "2 parked events will be retried now\n");
    let listed = stdout(&run(&scene, &["list"])?)?.to_owned();
    assert_eq!(listed.matches("left for an operator: the kind is not known").count(), 1, "{listed}");
    assert_eq!(listed.matches(": the kind is not known").count(), 3, "{listed}");
    assert_eq!(
        scene.worker(10)?.retry_once().await?,
        BatchOutcome::Committed { applied: 0, parked: 2, waiting: 0 }
    );

    assert_eq!(json_output(&run(&scene, &["retry", "--all", "--json"])?)?, json!([1, 2, 3]));
    Ok(())
}

#[tokio::test]
async fn discard_deletes_events_and_prints_them() -> Result<()> {
    let scene = scene().await?;
    let gone = json_output(&run(&scene, &["discard", "2", "--json"])?)?;
    assert_eq!(gone[0]["payload"], json!({"ribbon": "green"}));
    assert_eq!(ids(&json_output(&run(&scene, &["list", "--json"])?)?), [1, 3]);
    let output = run(&scene, &["discard", "--all"])?;
    let lines: Vec<_> = stdout(&output)?.lines().collect();
    let [_, first, _, second, end] = lines[..] else { panic!("{lines:?}") };
    assert_eq!((first.trim(), second.trim()), (r#"{"ribbon":"red"}"#, r#"{"ribbon":"blue"}"#));
    assert_eq!(end, "2 parked events were discarded");
    assert_eq!(scene.count("parked_events").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_id_that_is_not_parked_is_reported_and_the_others_are_handled() -> Result<()> {
    let scene = scene().await?;
    for (command, left) in [("show", 3), ("retry", 3), ("discard", 2)] {
        let output = run(&scene, &[command, "1", "77", "78"])?;
        assert!(!output.status.success(), "{command}");
        let error = String::from_utf8(output.stderr)?;
        assert!(error.contains("not parked: 77, 78"), "{command}: {error}");
        let printed = String::from_utf8(output.stdout)?;
        assert!(command == "show" || printed.contains("1 parked event w"), "{command}: {printed}");
        let output = run(&scene, &[command, "77"])?;
        assert!(!output.status.success() && output.stdout.is_empty(), "{command}: {output:?}");
        assert_eq!(scene.count("parked_events").await?, left, "{command}");
    }
    Ok(())
}

#[tokio::test]
async fn no_command_handles_all_events_by_accident() -> Result<()> {
    let scene = scene().await?;
    for arguments in
        [&["show"][..], &["retry"], &["discard"], &["discard", "1", "--all"], &["discard", "one"]]
    {
        assert!(!run(&scene, arguments)?.status.success(), "{arguments:?}");
    }
    assert_eq!(scene.count("parked_events").await?, 3);
    Ok(())
}

#[tokio::test]
async fn an_event_with_a_negative_id_can_be_listed_and_selected() -> Result<()> {
    let scene = scene().await?;
    scene.session.batch_execute("SELECT setval('outbox_id_seq', 1, false)").await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    drain(&*scene.worker(10)?).await?;
    assert_eq!(ids(&json_output(&run(&scene, &["list", "--json"])?)?), [-1, 1, 2, 3]);
    assert_eq!(ids(&json_output(&run(&scene, &["list", "--json", "--after", "-1"])?)?), [1, 2, 3]);
    assert_eq!(ids(&json_output(&run(&scene, &["discard", "-1", "--json"])?)?), [-1]);
    Ok(())
}

/// PostgreSQL accepts these payloads as JSON, other parsers do not.
#[tokio::test]
async fn odd_payloads_can_be_listed_shown_and_discarded_without_loss() -> Result<()> {
    let scene = Scene::create().await?;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for payload in [r#"{"a":1e999}"#, r#""\ud800""#, &deep] {
        scene.emit_raw("order_gift_wrapped", payload).await?;
    }
    drain(&*scene.worker(10)?).await?;
    assert_eq!(stdout(&run(&scene, &["list"])?)?.lines().count(), 3);
    let shown = stdout(&run(&scene, &["show", "1", "2", "3"])?)?.to_owned();
    let payloads: Vec<_> = shown.lines().skip(1).step_by(2).map(str::trim).collect();
    assert_eq!(payloads, [r#"{"a":1e999}"#, r#""\ud800""#, &deep]);
    let gone = stdout(&run(&scene, &["discard", "--all", "--json"])?)?.to_owned();
    assert!(gone.contains("1e999") && gone.contains("ud800") && gone.contains(&deep), "{gone}");
    Ok(())
}

#[tokio::test]
async fn an_event_that_cannot_be_printed_is_not_discarded() -> Result<()> {
    let scene = scene().await?;
    let mut command = Command::new(PROGRAM);
    command.args(["parked", "discard", "--all"]).env_clear();
    command.env("DATABASE_URL", scene.database.url("orders_projector"));
    let full = std::fs::File::options().write(true).open("/dev/full")?;
    assert!(!command.stdin(Stdio::null()).stdout(full).stderr(Stdio::null()).status()?.success());
    assert_eq!(scene.count("parked_events").await?, 3);
    Ok(())
}

/// As after `head`.
#[tokio::test]
async fn a_command_whose_output_nobody_reads_ends_quietly_and_discards_nothing() -> Result<()> {
    let scene = scene().await?;
    for (arguments, is_quiet) in
        [(&["list"][..], true), (&["show", "--all"], true), (&["discard", "--all"], false)]
    {
        let mut command = Command::new(PROGRAM);
        command.arg("parked").args(arguments).stdin(Stdio::null()).env_clear();
        command.env("DATABASE_URL", scene.database.url("orders_projector"));
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        drop(running.stdout.take());
        let output = running.wait_with_output()?;
        assert_eq!((output.status.success(), output.stderr.is_empty()), (is_quiet, is_quiet), "{output:?}");
    }
    assert_eq!(scene.count("parked_events").await?, 3);
    Ok(())
}

#[tokio::test]
async fn retry_waits_for_an_event_that_a_worker_is_trying() -> Result<()> {
    let scene = scene().await?;
    let mut trying = scene.database.connect().await?;
    let trying = trying.transaction().await?;
    trying.execute("SELECT FROM parked_events WHERE id = 1 FOR UPDATE", &[]).await?;
    let output = run(&scene, &["retry", "1"])?;
    assert!(
        String::from_utf8(output.stderr)?.contains("lock timeout"),
        "the event must not be reported as missing"
    );
    trying.rollback().await?;
    stdout(&run(&scene, &["retry", "1"])?)?;
    Ok(())
}

#[tokio::test]
async fn a_running_projector_tries_events_that_an_operator_retries() -> Result<()> {
    let scene = Scene::create().await?;
    let encoded = event(1, 1).encode()?;
    scene.emit_raw("order_placed_soon", &encoded.payload).await?;
    drain(&*scene.worker(10)?).await?;
    // As if a new projector knew the kind: here the event gets a known one.
    scene.session.batch_execute("UPDATE parked_events SET kind = 'order_placed'").await?;
    let stop = tokio_util::sync::CancellationToken::new();
    let config = projector::Config::from_vars(&scene.vars())?;
    let projector = projector::Projector::start(&config, projector::projections(), stop.clone())?;
    let address = projector.address();
    let running = tokio::spawn(projector.run());
    stdout(&run(&scene, &["retry", "--all"])?)?;
    crate::metrics::until_metric(address, "orders_projector_retries_total{outcome=\"applied\"}", |n| {
        n == 1.0
    })
    .await?;
    assert_eq!((scene.count("parked_events").await?, scene.count("order_summary").await?), (0, 1));
    stop.cancel();
    running.await??;
    Ok(())
}
