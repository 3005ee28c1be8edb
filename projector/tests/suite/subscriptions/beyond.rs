//! A checkpoint that is beyond the database, as after a failover or a restore that lost events.

use anyhow::Result;
use projector::subscription::Progress;

use super::commands::{printed, refusal, subscriptions};
use super::support::{Counts, run_to_end};
use crate::support::{Scene, event};

/// The subscription `counts` is lost at position 9. The log has events 1 to 5, and it has parked 5.
async fn scene() -> Result<Scene> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    scene.emit_all(&[1, 2, 3, 4].map(|order| event(order, 1))).await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    scene.log_all().await?;
    let steps = scene.steps(Counts("counts"))?;
    run_to_end(&steps, 10).await?;
    scene.session.batch_execute("UPDATE subscription_checkpoints SET checkpoint = 9").await?;
    let reason = "the checkpoint 9 is beyond 5, the newest position of this database".to_owned();
    assert_eq!(steps.run_once(10).await?, Progress::Lost { reason });
    Ok(scene)
}

#[tokio::test]
async fn skip_does_not_go_back_unless_it_is_told_where_to() -> Result<()> {
    let scene = scene().await?;
    let output = subscriptions(&scene, &["skip", "counts"])?;
    let error = refusal(&output)?;
    assert!(error.contains("\"counts\" is lost: its checkpoint 9 is not of this database"), "{error}");
    assert!(error.contains("--to now") && error.contains("--to start"), "{error}");
    let shown = subscriptions(&scene, &["show", "counts"])?;
    assert!(printed(&shown)?.starts_with("counts  lost  position 9"), "{shown:?}");
    for (to, expected) in [("6", "--to 6: the log ends at position 5"), ("yesterday", "not a position")] {
        let output = subscriptions(&scene, &["skip", "counts", "--to", to])?;
        assert!(refusal(&output)?.contains(expected), "{output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn skip_to_a_position_start_or_now_lets_it_go_on_there() -> Result<()> {
    for (to, position, handled, parked) in [("2", 2, 3, 1), ("start", 0, 5, 1), ("now", 5, 0, 0)] {
        let scene = scene().await?;
        let skipped = subscriptions(&scene, &["skip", "counts", "--to", to])?;
        let text = printed(&skipped)?;
        let mut expected = format!("goes on after position {position}; its checkpoint was 9");
        if parked > 0 {
            expected.push_str("; 1 parked event among them was removed");
        }
        assert!(
            text.starts_with(&format!("{expected}\ncounts  running  position {position}")),
            "{to}: {text}"
        );
        assert_eq!(run_to_end(&scene.steps(Counts("counts"))?, 10).await?, handled, "{to}");
        assert_eq!(scene.count("subscription_parked").await?, 1, "{to}: it is parked once");
    }
    Ok(())
}
