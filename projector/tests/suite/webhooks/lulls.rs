//! Nothing new comes, and only what was refused before the last success is tried again: the endpoint is healthy.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use diesel_async::AsyncPgConnection;
use projector::Config;
use projector::webhooks::delivery::{self, Backlogs, Streak, Take, Taken};
use projector::webhooks::retry::DeliveryPolicy;
use testkit::wait;

use super::receiver::{OK, Reaction, Receiver};
use super::support::{
    FAST, LIMIT, LIMITS, Running, add, add_receiver, config, count, deliver, finish, finished, streak,
    until_count,
};
use crate::support::{Scene, event};

const ACCEPTED: &str = "webhook_attempts WHERE error IS NULL";
const REFUSED: &str = "webhook_attempts WHERE error IS NOT NULL";

/// One event is accepted, another one refused, and a third one accepted.
struct Lull {
    scene: Scene,
    _receiver: Receiver,
    config: Config,
}

impl Lull {
    async fn begin() -> Result<Self> {
        let scene = Scene::create().await?;
        let poison = event(2, 1).event_id.to_string();
        let receiver = Receiver::start_with(
            move |message| {
                if message.id() == poison { Reaction::Status(422) } else { OK }
            },
        )?;
        add_receiver(&scene, &receiver).await?;
        let mut config = config(&scene)?;
        config.webhooks.policy = DeliveryPolicy {
            retry_first: Duration::from_millis(50),
            retry_max: Duration::from_millis(50),
            streak_after: Duration::from_millis(100),
            ..DeliveryPolicy::default()
        };
        Ok(Self { scene, _receiver: receiver, config })
    }

    async fn send(&self) -> Result<()> {
        self.scene.emit([event(1, 1)]).await?;
        until_count(&self.scene, ACCEPTED, 1).await?;
        self.scene.emit([event(2, 1)]).await?;
        self.until_refused_again(1).await?;
        self.scene.emit([event(3, 1)]).await?;
        until_count(&self.scene, ACCEPTED, 2).await
    }

    async fn until_refused_again(&self, times: i64) -> Result<()> {
        let before = count(&self.scene, REFUSED).await?;
        let refused = wait::until("refusals", LIMIT, async || match count(&self.scene, REFUSED).await {
            Ok(found) if found >= before + times => Ok(()),
            other => Err(other),
        });
        Ok(refused.await?)
    }

    async fn until_seen_to_be_healthy(&self) -> Result<()> {
        self.until_refused_again(30).await?;
        ensure!(
            count(&self.scene, "webhook_endpoints WHERE failures = 0").await? == 1,
            "it counts as failing"
        );
        Ok(())
    }
}

#[tokio::test]
async fn a_process_that_starts_in_a_lull_does_not_count_retries() -> Result<()> {
    let lull = Lull::begin().await?;
    let running = Running::start(&lull.config)?;
    lull.send().await?;
    running.stop().await?;
    let running = Running::start(&lull.config)?;
    lull.until_seen_to_be_healthy().await?;
    running.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_do_not_count_retries_in_a_lull() -> Result<()> {
    let lull = Lull::begin().await?;
    let (one, two) = (Running::start(&lull.config)?, Running::start(&lull.config)?);
    lull.send().await?;
    lull.until_seen_to_be_healthy().await?;
    one.stop().await?;
    two.stop().await
}

async fn leased(connection: &mut AsyncPgConnection, endpoint: i64) -> Result<Taken> {
    let taken = delivery::take(connection, endpoint, LIMITS, &Backlogs::default()).await?;
    let Take::Taken(taken) = taken else { anyhow::bail!("{taken:?}") };
    Ok(taken)
}

#[tokio::test]
async fn what_is_refused_in_the_transaction_of_a_success_is_not_refused_after_it() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[1, 2, 3].map(|order| event(order, 1))).await?;
    let first = leased(&mut connection, id).await?;
    assert_eq!(first.succeeded_at, None);
    let results = [finished(&first.deliveries[0], 200), finished(&first.deliveries[1], 422)];
    finish(&mut connection, id, &results, &FAST).await?;

    let due = "UPDATE deliveries SET next_attempt_at = now(), leased_until = NULL;
               UPDATE webhook_endpoints SET hold_until = '-infinity'";
    scene.session.batch_execute(due).await?;
    let retry = leased(&mut connection, id).await?;
    let refused_at = retry.deliveries[0].first_failed_at.context("it was refused")?;
    assert_eq!(Some(refused_at), retry.succeeded_at);
    finish(&mut connection, id, &[finished(&retry.deliveries[1], 200)], &FAST).await?;
    let after = leased(&mut connection, id).await?;
    ensure!(after.succeeded_at > Some(refused_at), "{after:?}");
    Ok(())
}

#[tokio::test]
async fn failures_that_another_process_had_before_a_success_are_not_recorded() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &[event(1, 1)]).await?;
    let before = leased(&mut connection, id).await?;
    finish(&mut connection, id, &[finished(&before.deliveries[0], 200)], &FAST).await?;
    let now = leased(&mut connection, id).await?.succeeded_at;
    for (succeeded_at, failures) in [(before.succeeded_at, 0), (now, 5)] {
        let streak = Streak { succeeded_at, ..streak(5, Duration::from_mins(1)) };
        delivery::finish(&mut connection, id, &[], streak, false, &FAST).await?;
        let failing = format!("webhook_endpoints WHERE failures = {failures}");
        assert_eq!(count(&scene, &failing).await?, 1, "{succeeded_at:?}");
    }
    Ok(())
}
