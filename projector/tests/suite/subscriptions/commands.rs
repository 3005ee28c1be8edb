//! `projector subscriptions`: what an operator can do.

use std::process::{Command, Output, Stdio};

use anyhow::{Result, ensure};
use projector::subscription::{Handled, Progress};
use serde_json::{Value, json};

use super::support::{Counts, run_to_end};
use crate::support::{Scene, event};

pub(super) fn run(scene: &Scene, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_projector"));
    command.args(arguments).stdin(Stdio::null());
    Ok(command.env_clear().env("DATABASE_URL", scene.database.url("orders_projector")).output()?)
}

pub(super) fn subscriptions(scene: &Scene, arguments: &[&str]) -> Result<Output> {
    run(scene, &[&["subscriptions"], arguments].concat())
}

pub(super) fn printed(output: &Output) -> Result<&str> {
    ensure!(output.status.success(), "{output:?}");
    Ok(std::str::from_utf8(&output.stdout)?)
}

pub(super) fn refusal(output: &Output) -> Result<&str> {
    ensure!(!output.status.success(), "{output:?}");
    Ok(std::str::from_utf8(&output.stderr)?)
}

pub(super) fn as_json(output: &Output) -> Result<Value> {
    Ok(serde_json::from_str(printed(output)?)?)
}

/// The subscription `counts` has handled none of the events at positions 1 to 5.
pub(super) async fn scene() -> Result<Scene> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    scene.emit_all(&[1, 2, 3, 4, 5].map(|order| event(order, 1))).await?;
    scene.log_all().await?;
    Ok(scene)
}

#[tokio::test]
async fn list_and_show_say_where_a_subscription_is_and_how_it_fares() -> Result<()> {
    let scene = scene().await?;
    scene.subscribe("another").await?;
    let listed = subscriptions(&scene, &["list"])?;
    let lines: Vec<_> = printed(&listed)?.lines().collect();
    let [another, counts] = lines[..] else { panic!("{lines:?}") };
    assert!(another.starts_with("another  running  position 0, 5 events behind ("), "{another}");
    assert!(counts.starts_with("counts  running  position 0, 5 events behind ("), "{counts}");

    run_to_end(&scene.steps(Counts("counts"))?, 10).await?;
    let failed = "UPDATE subscriptions SET failures = 3, last_error = E'no\\nluck' WHERE name = 'another'";
    scene.session.batch_execute(failed).await?;
    let shown = subscriptions(&scene, &["show", "counts"])?;
    assert_eq!(printed(&shown)?, "counts  running  position 5, 0 events behind\n");
    let shown = subscriptions(&scene, &["show", "another"])?;
    let line = printed(&shown)?;
    assert!(line.contains(", failures 3, next attempt 2"), "{line}");
    assert!(line.ends_with(": no\\nluck\n"), "one line: {line}");
    let status = as_json(&subscriptions(&scene, &["show", "another", "--json"])?)?;
    assert_eq!(
        (&status["name"], &status["state"], &status["lag_events"], &status["failures"]),
        (&json!("another"), &json!("running"), &json!(5), &json!(3))
    );
    let names = as_json(&subscriptions(&scene, &["list", "--json"])?)?;
    assert_eq!((&names[0]["name"], &names[1]["name"]), (&json!("another"), &json!("counts")));
    Ok(())
}

#[tokio::test]
async fn a_paused_subscription_handles_nothing_until_it_is_resumed() -> Result<()> {
    let scene = scene().await?;
    let steps = scene.steps(Counts("counts"))?;
    assert!(
        printed(&subscriptions(&scene, &["pause", "counts"])?)?.starts_with("counts  paused  position 0")
    );
    assert_eq!(steps.run_once(10).await?, Progress::NotClaimed);
    assert_eq!(as_json(&subscriptions(&scene, &["resume", "counts", "--json"])?)?["state"], "running");
    assert_eq!(run_to_end(&steps, 10).await?, 5);
    Ok(())
}

#[tokio::test]
async fn a_subscription_that_is_resumed_after_failures_tries_again_at_once() -> Result<()> {
    let scene = scene().await?;
    let failed = "UPDATE subscriptions SET failures = 9, next_attempt_at = now() + interval '1 minute'";
    scene.session.batch_execute(failed).await?;
    let steps = scene.steps(Counts("counts"))?;
    assert_eq!(steps.run_once(10).await?, Progress::NotClaimed);
    printed(&subscriptions(&scene, &["resume", "counts"])?)?;
    assert_eq!(run_to_end(&steps, 10).await?, 5);
    Ok(())
}

#[tokio::test]
async fn rewind_reads_events_again_from_any_position_that_the_log_has() -> Result<()> {
    let scene = scene().await?;
    let steps = scene.steps(Counts("counts"))?;
    run_to_end(&steps, 10).await?;
    let rewound = subscriptions(&scene, &["rewind", "counts", "--to", "3"])?;
    let lines = printed(&rewound)?;
    assert!(
        lines.starts_with("reads the events after position 3, up to 5, again\ncounts  running"),
        "{lines}"
    );
    assert_eq!(run_to_end(&steps, 10).await?, 2);
    printed(&subscriptions(&scene, &["rewind", "counts", "--to", "start"])?)?;
    assert_eq!(run_to_end(&steps, 10).await?, 5);
    assert_eq!(scene.counted("counts").await?, (5, 12));
    Ok(())
}

#[tokio::test]
async fn a_rewind_removes_parked_events_that_are_read_again() -> Result<()> {
    let scene = scene().await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    scene.log_all().await?;
    let steps = scene.steps(Counts("counts"))?;
    run_to_end(&steps, 10).await?;
    assert_eq!(scene.count("subscription_parked").await?, 1);
    let rewound = subscriptions(&scene, &["rewind", "counts", "--to", "5"])?;
    assert!(printed(&rewound)?.contains("again; 1 parked event among them was removed"), "{rewound:?}");
    run_to_end(&steps, 10).await?;
    assert_eq!(scene.count("subscription_parked").await?, 1, "it is parked once, not twice");
    Ok(())
}

#[tokio::test]
async fn a_command_that_cannot_be_done_names_the_subscription_or_the_option() -> Result<()> {
    let scene = scene().await?;
    run_to_end(&scene.steps(Counts("counts"))?, 3).await?;
    scene.session.batch_execute("UPDATE event_log_state SET missing_up_to = 2").await?;
    for (arguments, expected) in [
        (&["show", "none"][..], "there is no subscription named \"none\""),
        (&["pause", "none"], "there is no subscription named \"none\""),
        (&["resume", ""], "there is no subscription named \"\""),
        (&["rewind", "none", "--to", "start"], "there is no subscription named \"none\""),
        (&["rewind", "counts"], "--to"),
        (&["rewind", "counts", "--to", "yesterday"], "--to: not a position"),
        (&["rewind", "counts", "--to=-1"], "not a position"),
        (&["rewind", "counts", "--to", "1"], "--to 1: events up to position 2 are no longer in the log"),
        (&["rewind", "counts", "--to", "6"], "--to 6: the log ends at position 5"),
        (&["skip", "none"], "there is no subscription named \"none\""),
        (&["skip", "counts"], "the log has no event to skip after the checkpoint, which is 5"),
        (&["skip", "counts", "--to", "4"], "--to 4 is not ahead of the checkpoint, which is 5"),
        (&["skip", "counts", "--to", "start"], "--to 2 is not ahead of the checkpoint, which is 5"),
        (&["remove", "none"], "there is no subscription named \"none\""),
        (&["remove", "counts"], "\"counts\" is running: pause it first"),
    ] {
        let output = subscriptions(&scene, arguments)?;
        let error = refusal(&output)?;
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    scene.session.batch_execute("UPDATE subscription_checkpoints SET checkpoint = 3").await?;
    let output = subscriptions(&scene, &["rewind", "counts", "--to", "now"])?;
    assert!(
        refusal(&output)?
            .contains("--to 5 is ahead of the checkpoint, which is 3: to leave events out, use skip")
    );
    let output = run(&scene, &["parked", "list", "--subscription", "none"])?;
    let error = refusal(&output)?;
    assert!(error.contains("--subscription: there is no subscription named \"none\""), "{error}");
    Ok(())
}

#[tokio::test]
async fn while_events_are_not_logged_no_checkpoint_can_be_moved() -> Result<()> {
    let scene = scene().await?;
    printed(&run(&scene, &["log", "retention", "--days", "0"])?)?;
    for arguments in [&["rewind", "counts", "--to", "start"][..], &["skip", "counts", "--to", "now"]] {
        let output = subscriptions(&scene, arguments)?;
        assert!(refusal(&output)?.contains("events are not logged"), "{arguments:?}: {output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_subscription_is_removed_only_when_it_is_paused_and_has_no_parked_events() -> Result<()> {
    let scene = scene().await?;
    printed(&subscriptions(&scene, &["skip", "counts"])?)?;
    printed(&subscriptions(&scene, &["pause", "counts"])?)?;
    let output = subscriptions(&scene, &["remove", "counts"])?;
    assert!(refusal(&output)?.contains("\"counts\" has parked events (1)"), "{output:?}");
    printed(&run(&scene, &["parked", "discard", "--subscription", "counts", "--all"])?)?;
    assert_eq!(printed(&subscriptions(&scene, &["remove", "counts"])?)?, "removed\n");
    assert_eq!(printed(&subscriptions(&scene, &["list"])?)?, "there is no subscription\n");
    Ok(())
}

#[tokio::test]
async fn a_parked_event_is_printed_as_it_was_written() -> Result<()> {
    let scene = scene().await?;
    let payload = r#"{"ribbon": "a \u001b[1m\"red\" one", "length": 1e2}"#;
    scene.emit_raw("order_gift_wrapped", payload).await?;
    scene.log_all().await?;
    run_to_end(&scene.steps(Counts("counts"))?, 10).await?;
    for command in
        [&["list", "--json"][..], &["show", "--all"], &["show", "--all", "--json"], &["discard", "--all"]]
    {
        let arguments = [&["parked"], command, &["--subscription", "counts"]].concat();
        let output = run(&scene, &arguments)?;
        assert!(printed(&output)?.contains(payload), "{command:?}: {output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_change_waits_for_the_batch_of_a_worker() -> Result<()> {
    let scene = scene().await?;
    let mut worker = scene.database.connect().await?;
    let batch = worker.transaction().await?;
    batch.execute("SELECT FROM subscriptions FOR UPDATE", &[]).await?;
    let output = subscriptions(&scene, &["pause", "counts"])?;
    assert!(refusal(&output)?.contains("nothing was changed"), "{output:?}");
    batch.rollback().await?;
    printed(&subscriptions(&scene, &["pause", "counts"])?)?;
    let steps = scene.steps(Counts("counts"))?;
    assert!(!matches!(steps.run_once(9).await?, Progress::Handled(Handled { .. })));
    Ok(())
}
