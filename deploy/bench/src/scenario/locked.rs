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
/// Events of orders that are held, beside these.
const HELD_EVENTS_PER_SECOND: u32 = 30;
/// Duration in measurements.
const LENGTH: u32 = 2;
/// How long others come while the first events of held orders do.
const BEGINNING: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_mins(1);

/// For each of [`HOLDS`], all of one number of workers after the other.
#[derive(Default, Clone)]
struct Measured {
    late: Vec<f64>,
    latest: Vec<f64>,
    undisturbed: Vec<f64>,
    longest: Vec<f64>,
    applied_after: Vec<f64>,
}

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let mut all = vec![Measured::default(); HOLDS.len()];
    let mut figures = Vec::new();
    // A quick run only checks that everything works.
    let all_workers = if plan.shrink > 1 { &WORKERS[..1] } else { &WORKERS[..] };
    for workers in all_workers.iter().copied() {
        let mut of_workers = vec![Measured::default(); HOLDS.len()];
        for _ in 0..plan.rounds {
            round(stage, plan, workers, &mut of_workers).await?;
        }
        for ((hold, measured), all) in HOLDS.iter().zip(of_workers).zip(&mut all) {
            all.longest.extend(measured.longest);
            all.applied_after.extend(measured.applied_after);
            let name =
                format!("workers: {workers}, {hold}: commit to visible of others, p99, beside without");
            let figure = Figure::new(name, "ms", measured.late).with_reference(measured.undisturbed);
            figures.push(if hold.is_seen() { figure.with(Target::RatioAtMost(2.0)) } else { figure });
            let name = format!("workers: {workers}, {hold}: commit to visible of others, longest");
            figures.push(Figure::new(name, "ms", measured.latest));
        }
    }
    for (hold, measured) in HOLDS.iter().zip(all) {
        let name = format!("{hold}: commit to visible of others in the first second, longest");
        figures.push(Figure::new(name, "ms", measured.longest));
        let name = format!("{hold}: the last event is applied after the end");
        let figure = Figure::new(name, "s", measured.applied_after);
        figures.push(if hold.is_seen() { figure.with(Target::AtMost(1.0)) } else { figure });
    }
    Ok(figures)
}

/// One projector, undisturbed and then with each of [`HOLDS`].
async fn round(stage: &Stage, plan: Plan, workers: u16, measured: &mut [Measured]) -> Result<()> {
    stage.empty().await?;
    fill_summaries(stage, 1..holder::MOST_LOCKED + 1, 1_000).await?;
    stage.settle().await?;
    let projector = stage.service(ServiceKind::Projector, &[("WORKERS", &workers.to_string())]).await?;
    let mut after = i64::from(u32::MAX);
    let mut next_orders = || {
        after += 2_000_000;
        SteadyOrders { per_second: EVENTS_PER_SECOND, after, every_hundredth: 1 }
    };
    // Not measured: warms up processes and server.
    next_orders().write(stage, BEGINNING).await?;
    let orders = next_orders();
    orders.write(stage, plan.times(LENGTH)).await?;
    settle(stage, 0).await?;
    let undisturbed = orders.late_ms(stage, 0.99).await?;

    for (hold, measured) in HOLDS.iter().zip(measured) {
        let hold = hold.with_rows(plan.rows(hold.rows));
        let holder = hold.begin(stage).await?;
        let first = next_orders();
        let (written, filled) =
            tokio::join!(first.write(stage, BEGINNING), fill_outbox(stage, hold.orders(), 1_000));
        written?;
        filled?;
        settle(stage, hold.rows).await?;
        measured.longest.push(first.late_ms(stage, 1.0).await?);

        let orders = next_orders();
        let (written, more) = tokio::join!(
            orders.write(stage, plan.times(LENGTH)),
            held_events(stage, hold, plan.times(LENGTH))
        );
        written?;
        settle(stage, hold.rows + more?).await?;
        measured.late.push(orders.late_ms(stage, 0.99).await?);
        measured.latest.push(orders.late_ms(stage, 1.0).await?);
        measured.undisturbed.push(undisturbed);

        holder.end().await?;
        let end = Instant::now();
        settle(stage, 0).await?;
        measured.applied_after.push(end.elapsed().as_secs_f64());
    }
    stop(projector)?;
    ensure!(stage.count("parked_events").await? == 0, "an event was parked");
    Ok(())
}

/// Writes events of held orders. Returns how many.
async fn held_events(stage: &Stage, hold: Hold, time: Duration) -> Result<u32> {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / HELD_EVENTS_PER_SECOND);
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

/// Waits until the outbox is empty, and so many events wait for the end of a lock.
async fn settle(stage: &Stage, waiting: u32) -> Result<()> {
    let expected = u64::from(waiting);
    wait::until("events to be applied or set aside", LIMIT, || async {
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
