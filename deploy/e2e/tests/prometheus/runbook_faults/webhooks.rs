//! A webhook endpoint that is dead: nobody listens, and later it says that it is gone for good.

use anyhow::{Result, ensure};
use testkit::wait;

use super::alert::Alert;
use super::receiver::Receiver;
use super::scene::Scene;
use super::{LIMIT, LOOK, REMEDY, WORKED, commands};

/// The second one of two endpoints: the runbook's examples name it.
pub(super) async fn an_endpoint_is_dead(scene: &Scene) -> Result<()> {
    let (other, receiver) = (Receiver::start(0).await?, Receiver::start(0).await?);
    for (id, receiver) in [("1", &other), ("2", &receiver)] {
        let said = scene.run(&format!("projector webhooks add --url {}", receiver.url())).await?;
        ensure!(said.starts_with(id), "{said}");
    }
    ensure!(scene.place().await?.is_success());
    receiver.has_got(1).await?;
    let (late, paused) = (Alert::new(scene, "OrdersWebhookLag")?, Alert::new(scene, "OrdersWebhookPaused")?);
    late.is_silent().await?;
    paused.is_silent().await?;
    let receiver = nobody_listens(scene, &late, receiver).await?;
    it_is_gone(scene, &paused, &receiver).await?;
    // The dead one kept nothing from the other one.
    other.has_got(3).await
}

async fn nobody_listens(scene: &Scene, alert: &Alert<'_>, receiver: Receiver) -> Result<Receiver> {
    const NAME: &str = "OrdersWebhookLag";
    let port = receiver.port();
    drop(receiver);
    ensure!(scene.place().await?.is_success());
    make_six_minutes_old(scene).await?;
    alert.fires().await?;
    scene.shows(&commands(NAME, LOOK)?, &["waiting 1,", "onnection refused"]).await?;
    let receiver = Receiver::start(port).await?;
    let said = scene.run(&commands(NAME, REMEDY)?).await?;
    ensure!(said.contains("2 responded with status 200") && said.contains("2 resumed"), "{said}");
    let worked =
        scene.until_shown(&commands(NAME, WORKED)?, |printed| !printed.contains("waiting 1,")).await?;
    ensure!(worked.contains("status 200"), "{worked}");
    alert.ends().await?;
    Ok(receiver)
}

/// In place of five minutes in which nobody listens.
async fn make_six_minutes_old(scene: &Scene) -> Result<()> {
    let session = scene.connect().await?;
    let update = "UPDATE deliveries SET recorded_at = recorded_at - interval '6 minutes' WHERE endpoint = 2";
    wait::until("a delivery", LIMIT, async || match session.execute(update, &[]).await {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    Ok(())
}

async fn it_is_gone(scene: &Scene, alert: &Alert<'_>, receiver: &Receiver) -> Result<()> {
    const NAME: &str = "OrdersWebhookPaused";
    receiver.respond_with(410);
    ensure!(scene.place().await?.is_success());
    alert.fires().await?;
    scene.shows(&commands(NAME, LOOK)?, &["paused (gone)", "status 410"]).await?;
    receiver.respond_with(200);
    let said = scene.run(&commands(NAME, REMEDY)?).await?;
    ensure!(said.contains("2 responded with status 200") && said.contains("2 resumed"), "{said}");
    let is_active = |printed: &str| printed.matches("active; waiting 0,").count() == 2;
    scene.until_shown(&commands(NAME, WORKED)?, is_active).await?;
    alert.ends().await
}
