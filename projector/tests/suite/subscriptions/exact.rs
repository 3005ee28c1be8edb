//! Each event takes effect once: effect and checkpoint commit together.

use anyhow::Result;

use super::support::{Counts, run_to_end};
use crate::support::{Scene, event};

#[tokio::test]
async fn a_read_model_gets_each_event_once_in_batches_of_any_size() -> Result<()> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    let events: Vec<_> = (1..=40).flat_map(|order| [event(order, 1), event(order, 2)]).collect();
    scene.emit_all(&events).await?;
    scene.log_all().await?;
    let steps = scene.steps(Counts("counts"))?;
    assert_eq!(run_to_end(&steps, 7).await?, 80);
    assert_eq!(scene.counted("counts").await?, (40, 80));
    scene.emit([event(1, 3)]).await?;
    scene.log_all().await?;
    assert_eq!(run_to_end(&steps, 7).await?, 1);
    assert_eq!(scene.counted("counts").await?, (40, 81));
    Ok(())
}
