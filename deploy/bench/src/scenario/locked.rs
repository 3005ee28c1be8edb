//! Another session locks summaries: the cost for events of other orders, and the delay of the locked ones afterwards.

mod holder;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::services::ServiceKind;
use testkit::wait;
use tokio::time::MissedTickBehavior;

use self::holder::{HOLDS, Hold};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::{fill_outbox, fill_summaries};
use crate::stage::{Stage, stop};
use crate::steady::SteadyOrders;

const WORKERS: [u16; 3] = [1, 2, 4];
const EVENTS_PER_SECOND: u32 = 300;
/// Events of orders whose rows are locked, in addition to [`EVENTS_PER_SECOND`].
const LOCKED_EVENTS_PER_SECOND: u32 = 30;
/// Duration in measurements.
const LENGTH: u32 = 2;
/// Events of other orders are written for this long while the first events of locked orders are written.
const FIRST_SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_mins(1);

/// Results for one entry of [`HOLDS`]: one value per round, in the order of [`WORKERS`].
#[derive(Default, Clone)]
struct Measured {
    p99_ms: Vec<f64>,
    max_ms: Vec<f64>,
    p99_without_locks_ms: Vec<f64>,
    max_in_first_second_ms: Vec<f64>,
    applied_after_s: Vec<f64>,
}

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let mut all = vec![Measured::default(); HOLDS.len()];
    let mut figures = Vec::new();
    // A quick run only checks that everything works.
    let all_workers = if plan.shrink > 1 { &WORKERS[..1] } else { &WORKERS[..] };
    for workers in all_workers.iter().copied() {
        let mut measured_with_workers = vec![Measured::default(); HOLDS.len()];
        for _ in 0..plan.rounds {
            round(stage, plan, workers, &mut measured_with_workers).await?;
        }
        for ((hold, measured), all) in HOLDS.iter().zip(measured_with_workers).zip(&mut all) {
            all.max_in_first_second_ms.extend(measured.max_in_first_second_ms);
            all.applied_after_s.extend(measured.applied_after_s);
            let name = format!(
                "workers: {workers}, {hold}: other orders: commit to visible, p99 (reference: no locks)"
            );
            let figure =
                Figure::new(name, "ms", measured.p99_ms).with_reference(measured.p99_without_locks_ms);
            figures.push(if hold.is_detectable() { figure.with(Target::RatioAtMost(2.0)) } else { figure });
            let name = format!("workers: {workers}, {hold}: other orders: commit to visible, max");
            figures.push(Figure::new(name, "ms", measured.max_ms));
        }
    }
    for (hold, measured) in HOLDS.iter().zip(all) {
        let name = format!("{hold}: other orders: commit to visible in the first second, max");
        figures.push(Figure::new(name, "ms", measured.max_in_first_second_ms));
        let name = format!("{hold}: release of the locks to last event applied");
        let figure = Figure::new(name, "s", measured.applied_after_s);
        figures.push(if hold.is_detectable() { figure.with(Target::AtMost(1.0)) } else { figure });
    }
    Ok(figures)
}

/// One projector, without locks and then with each of [`HOLDS`].
async fn round(stage: &Stage, plan: Plan, workers: u16, measured: &mut [Measured]) -> Result<()> {
    stage.empty().await?;
    fill_summaries(stage, 1..holder::MAX_LOCKED + 1, 1_000).await?;
    stage.settle().await?;
    let projector = stage.service(ServiceKind::Projector, &[("WORKERS", &workers.to_string())]).await?;
    let mut after = i64::from(u32::MAX);
    let mut next_orders = || {
        after += 2_000_000;
        SteadyOrders { per_second: EVENTS_PER_SECOND, after, every_hundredth: 1 }
    };
    // Not measured: warms up processes and server.
    next_orders().write(stage, FIRST_SECOND).await?;
    let orders = next_orders();
    orders.write(stage, plan.times(LENGTH)).await?;
    settle(stage, 0).await?;
    let p99_without_locks = orders.delay_ms(stage, 0.99).await?;

    for (hold, measured) in HOLDS.iter().zip(measured) {
        let hold = hold.with_rows(plan.rows(hold.rows));
        with_locks(stage, hold, plan.times(LENGTH), &mut next_orders, measured).await?;
        measured.p99_without_locks_ms.push(p99_without_locks);
    }
    stop(projector)?;
    ensure!(stage.count("parked_events").await? == 0, "an event was parked");
    Ok(())
}

/// Measures while locks are held, and how long their events take afterwards.
async fn with_locks(
    stage: &Stage,
    hold: Hold,
    time: Duration,
    next_orders: &mut impl FnMut() -> SteadyOrders,
    measured: &mut Measured,
) -> Result<()> {
    let holder = hold.begin(stage).await?;
    let first = next_orders();
    let (written, filled) =
        tokio::join!(first.write(stage, FIRST_SECOND), fill_outbox(stage, hold.orders(), 1_000));
    written?;
    filled?;
    settle(stage, hold.rows).await?;
    measured.max_in_first_second_ms.push(first.delay_ms(stage, 1.0).await?);

    let orders = next_orders();
    let (written, more) = tokio::join!(orders.write(stage, time), locked_events(stage, hold, time));
    written?;
    settle(stage, hold.rows + more?).await?;
    measured.p99_ms.push(orders.delay_ms(stage, 0.99).await?);
    measured.max_ms.push(orders.delay_ms(stage, 1.0).await?);

    holder.end().await?;
    let end = Instant::now();
    settle(stage, 0).await?;
    measured.applied_after_s.push(end.elapsed().as_secs_f64());
    Ok(())
}

/// Writes events of locked orders. Returns their number.
async fn locked_events(stage: &Stage, hold: Hold, time: Duration) -> Result<u32> {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / LOCKED_EVENTS_PER_SECOND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let start = Instant::now();
    let mut written = 0;
    for order in hold.orders().cycle() {
        if start.elapsed() >= time {
            break;
        }
        tick.tick().await;
        fill_outbox(stage, order..order + 1, 1_000).await?;
        written += 1;
    }
    Ok(written)
}

/// Waits until the outbox is empty and `waiting` events wait for the end of a lock.
async fn settle(stage: &Stage, waiting: u32) -> Result<()> {
    let expected = u64::from(waiting);
    wait::until_measured("events to be applied or set aside", LIMIT, || async {
        let counts = (stage.count("outbox").await, stage.count("waiting_events").await);
        if matches!(counts, (Ok(0), Ok(waiting)) if waiting == expected) {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    })
    .await?;
    Ok(())
}
