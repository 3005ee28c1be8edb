//! Receivers that do not answer, or close their connections, delay no others.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::wait;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::receiver::{OK, Reaction, Receiver};
use super::support::{LIMIT, Running, add, add_receiver, config};
use crate::support::{Scene, event};

/// Of each sort.
const DEAD: usize = 10;
const EVENTS: u128 = 100;

/// A projector with a receiver that responds.
struct Alive {
    scene: Scene,
    arrivals: UnboundedReceiver<()>,
    running: Running,
    _receiver: Receiver,
}

impl Alive {
    async fn start() -> Result<Self> {
        let scene = Scene::create().await?;
        let (arrived, arrivals) = unbounded_channel();
        let receiver = Receiver::start_with(move |_| {
            let _test_has_ended = arrived.send(());
            OK
        })?;
        add_receiver(&scene, &receiver).await?;
        let mut config = config(&scene)?;
        config.webhooks.parallel_total = 4;
        // Seldom enough that a build without optimizations is not busy with them alone.
        config.webhooks.policy.retry_first = Duration::from_millis(25);
        config.webhooks.policy.retry_max = Duration::from_millis(200);
        config.webhooks.policy.probe_max = Duration::from_millis(100);
        // None of the requests to those that hang ends during the test.
        config.webhooks.timeout = Duration::from_mins(1);
        let running = Running::start(&config)?;
        Ok(Self { scene, arrivals, running, _receiver: receiver })
    }

    /// How long an event takes from its commit to the receiver.
    async fn deliver(&mut self, order: u128) -> Result<Duration> {
        self.scene.emit([event(order, 1)]).await?;
        let start = Instant::now();
        timeout(LIMIT, self.arrivals.recv()).await?.context("the receiver is gone")?;
        Ok(start.elapsed())
    }
}

/// All but the slowest tenth, which a loaded machine can delay.
fn most(mut took: Vec<Duration>) -> Result<Duration> {
    took.sort_unstable();
    took.get(took.len() * 9 / 10).copied().context("no events")
}

#[tokio::test]
async fn dead_endpoints_delay_no_other_even_if_they_hold_all_requests_of_the_process() -> Result<()> {
    let (mut with_dead, mut without) = (Alive::start().await?, Alive::start().await?);
    let (hanging, closing) =
        (Receiver::start_with(|_| Reaction::Hang)?, Receiver::start_with(|_| Reaction::Close)?);
    let database = with_dead.scene.open()?;
    let mut connection = database.session().await?;
    for dead in [&hanging, &closing] {
        for number in 0..DEAD {
            add(&mut connection, &format!("{}?{number}", dead.url())).await?;
        }
    }
    connection.give_back();
    for order in 1..10 {
        with_dead.deliver(order).await?;
        without.deliver(order).await?;
    }
    wait::until("each to have got an event, and those that hang all requests", LIMIT, async || {
        let found = (hanging.received().len(), closing.received().len());
        if found.0 >= DEAD && found.1 >= DEAD { Ok(()) } else { Err(found) }
    })
    .await?;
    // In turn: other tests load the machine now more, now less.
    let (mut took, mut took_without) = (Vec::new(), Vec::new());
    for order in 10..10 + EVENTS {
        took.push(with_dead.deliver(order).await?);
        took_without.push(without.deliver(order).await?);
    }
    let (took, without_dead) = (most(took)?, most(took_without)?);
    // With one connection for all, it was up to five times as long.
    ensure!(
        took <= without_dead * 3 + Duration::from_millis(50),
        "{took:?}, {without_dead:?} without dead endpoints"
    );
    with_dead.running.stop().await?;
    without.running.stop().await
}
