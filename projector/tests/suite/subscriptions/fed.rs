//! Subscriptions that feed webhook endpoints: no command for subscriptions ends an endpoint unseen.

use anyhow::Result;
use serde_json::Value;

use super::commands::{printed, refusal, run, subscriptions};
use crate::support::{Scene, event};

/// An endpoint, and an event in the log that is not copied to its deliveries.
async fn scene() -> Result<Scene> {
    let scene = Scene::create().await?;
    printed(&run(&scene, &["webhooks", "add", "--url", "https://hooks.example/"])?)?;
    scene.emit([event(1, 1)]).await?;
    scene.log_all().await?;
    Ok(scene)
}

#[tokio::test]
async fn an_endpoints_subscription_is_paused_and_removed_only_with_the_endpoint() -> Result<()> {
    let scene = scene().await?;
    for command in ["pause", "remove"] {
        let output = subscriptions(&scene, &[command, "webhook:1"])?;
        let expected =
            format!("\"webhook:1\" feeds webhook endpoint 1: use `projector webhooks {command} 1`");
        assert!(refusal(&output)?.contains(&expected), "{command}: {output:?}");
    }
    // One that somebody has stopped by hand must be able to go on.
    scene.session.batch_execute("UPDATE subscriptions SET state = 'paused'").await?;
    assert!(refusal(&subscriptions(&scene, &["remove", "webhook:1"])?)?.contains("feeds webhook endpoint 1"));
    assert!(printed(&subscriptions(&scene, &["resume", "webhook:1"])?)?.starts_with("webhook:1  running"));
    let skipped = subscriptions(&scene, &["skip", "webhook:1", "--to", "now"])?;
    assert!(printed(&skipped)?.starts_with("left out the events after position 0, up to 1"), "{skipped:?}");
    let rewound = subscriptions(&scene, &["rewind", "webhook:1", "--to", "start"])?;
    assert!(
        printed(&rewound)?.starts_with("reads the events after position 0, up to 1, again"),
        "{rewound:?}"
    );

    printed(&run(&scene, &["webhooks", "remove", "1"])?)?;
    // What a removed endpoint has left behind, if anything, can be removed.
    scene.subscribe("webhook:1").await?;
    printed(&subscriptions(&scene, &["pause", "webhook:1"])?)?;
    assert_eq!(printed(&subscriptions(&scene, &["remove", "webhook:1"])?)?, "removed\n");
    Ok(())
}

#[tokio::test]
async fn the_list_of_endpoints_says_when_a_subscription_does_not_run() -> Result<()> {
    let scene = scene().await?;
    let list = || -> Result<(String, Value)> {
        let json = run(&scene, &["webhooks", "show", "1", "--json"])?;
        Ok((
            printed(&run(&scene, &["webhooks", "list"])?)?.to_owned(),
            serde_json::from_str(printed(&json)?)?,
        ))
    };
    let (line, status) = list()?;
    assert!(line.contains("active; waiting 0, parked 0; events since 20"), "{line}");
    assert!(line.contains(" are not copied from the log yet; all but order_republished"), "{line}");
    let endpoint = &status["endpoint"];
    assert_eq!(endpoint["subscription_state"], "running", "{status}");
    assert!(endpoint["oldest_not_copied"].is_string(), "{status}");

    scene.session.batch_execute("UPDATE subscriptions SET state = 'lost'").await?;
    let (line, status) = list()?;
    assert!(
        line.contains("active; subscription lost, see `projector subscriptions show webhook:1`; waiting"),
        "{line}"
    );
    assert_eq!(status["endpoint"]["subscription_state"], "lost", "{status}");
    scene.session.batch_execute("DELETE FROM subscriptions").await?;
    let (line, status) = list()?;
    assert!(
        line.contains("active; its subscription is gone: remove the endpoint and add it again;"),
        "{line}"
    );
    assert!(status["endpoint"]["subscription_state"].is_null(), "{status}");
    Ok(())
}
