//! `projector subscriptions skip`: what is left out, and what is not.

use anyhow::Result;
use projector::event_log::settled;
use projector::outbox::low_water_mark::queries;
use projector::subscription::Progress;
use serde_json::json;

use super::commands::{as_json, printed, refusal, run, scene, subscriptions};
use super::support::{Counts, run_to_end};
use crate::support::{Scene, event};

#[tokio::test]
async fn skip_parks_the_next_event_and_a_retry_applies_it_later() -> Result<()> {
    let scene = scene().await?;
    let skipped = subscriptions(&scene, &["skip", "counts"])?;
    let text = printed(&skipped)?.to_owned();
    assert!(text.starts_with("left out order_placed at position 1; it is parked: "), "{text}");
    let steps = scene.steps(Counts("counts"))?;
    assert_eq!(run_to_end(&steps, 10).await?, 4);
    assert_eq!(scene.counted("counts").await?, (4, 4));
    let shown = run(&scene, &["parked", "show", "--subscription", "counts", "--all", "--json"])?;
    let parked = as_json(&shown)?;
    assert_eq!((&parked[0]["position"], &parked[0]["error"]), (&json!(1), &json!("skipped by an operator")));
    assert!(parked[0]["next_attempt_at"].is_null() && parked[0]["recorded_at"].is_string(), "{parked}");
    assert!(parked[0]["payload"]["order"].is_object(), "{parked}");

    printed(&run(&scene, &["parked", "retry", "--subscription", "counts", "--all"])?)?;
    steps.retry_parked_once(10).await?;
    assert_eq!((scene.counted("counts").await?, scene.count("subscription_parked").await?), ((5, 5), 0));
    Ok(())
}

#[tokio::test]
async fn skip_to_leaves_events_out() -> Result<()> {
    let scene = scene().await?;
    let skipped = subscriptions(&scene, &["skip", "counts", "--to", "3"])?;
    assert!(printed(&skipped)?.starts_with("left out the events after position 0, up to 3\n"), "{skipped:?}");
    let steps = scene.steps(Counts("counts"))?;
    assert_eq!(run_to_end(&steps, 1).await?, 2);
    scene.emit([event(6, 1)]).await?;
    scene.log_all().await?;
    printed(&subscriptions(&scene, &["skip", "counts", "--to", "now"])?)?;
    assert_eq!(run_to_end(&steps, 1).await?, 0);
    assert_eq!(scene.count("subscription_parked").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_lost_subscription_goes_on_only_after_an_explicit_skip() -> Result<()> {
    let scene = scene().await?;
    // As after the first partition has expired.
    scene.session.batch_execute("UPDATE event_log_state SET missing_up_to = 2").await?;
    let steps = scene.steps(Counts("counts"))?;
    let Progress::Lost { reason } = steps.run_once(10).await? else { panic!("it must be lost") };
    assert_eq!(reason, "events after position 0, up to 2, may be missing in the log");
    assert_eq!(steps.run_once(10).await?, Progress::NotClaimed);
    for arguments in [&["pause", "counts"][..], &["resume", "counts"], &["rewind", "counts", "--to", "start"]]
    {
        let output = subscriptions(&scene, arguments)?;
        assert!(refusal(&output)?.contains("\"counts\" is lost"), "{arguments:?}: {output:?}");
    }
    let shown = subscriptions(&scene, &["show", "counts"])?;
    assert!(printed(&shown)?.contains("counts  lost  position 0"), "{shown:?}");
    let skipped = subscriptions(&scene, &["skip", "counts"])?;
    let text = printed(&skipped)?;
    assert!(
        text.starts_with("goes on after position 2; events after 0 may be missing\ncounts  running"),
        "{text}"
    );
    assert_eq!(run_to_end(&steps, 10).await?, 3);
    Ok(())
}

#[tokio::test]
async fn skip_to_now_leaves_out_nothing_that_is_logged_later() -> Result<()> {
    let scene = scene().await?;
    let writer = scene.database.connect().await?;
    writer.batch_execute(Scene::BEGIN_EVENT).await?;
    scene.emit([event(7, 1)]).await?;
    scene.log_all().await?;
    let skipped = subscriptions(&scene, &["skip", "counts", "--to", "now"])?;
    assert!(printed(&skipped)?.starts_with("left out the events after position 0, up to 5\n"), "{skipped:?}");
    let skipped = subscriptions(&scene, &["skip", "counts", "--to", "now"])?;
    assert!(
        refusal(&skipped)?.contains("--to 5 is not ahead"),
        "position 6 may still be logged: {skipped:?}"
    );
    writer.batch_execute("ROLLBACK").await?;
    let mut session = scene.open()?.session().await?;
    let run = queries::allocated(&mut session, 0).await?.run;
    settled::publish(&mut session, 8, run).await?;
    session.give_back();
    printed(&subscriptions(&scene, &["skip", "counts", "--to", "now"])?)?;
    assert_eq!(run_to_end(&scene.steps(Counts("counts"))?, 9).await?, 0);
    Ok(())
}
