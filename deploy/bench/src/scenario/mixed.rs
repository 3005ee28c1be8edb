//! Everything at once: orders placed and lists read, each at half of what it can reach alone, and projected meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use local::services::{Service, ServiceKind};

use super::read::{CONNECTIONS, CUSTOMERS, ROWS};
use crate::outbox::{last_id, wait_until_drained};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::fill_summaries;
use crate::stage::Stage;
use crate::usage::{MachineTime, resident_mb};
use crate::wrk::{self, Answered, Customers, Load, Pace};

pub(super) const NAME: &str = "mixed";

/// How long each side is measured alone, in measurements' times.
const ALONE: u32 = 6;

/// The gauge of the projector that tells how old the oldest event is.
const BACKLOG_AGE: &str = "orders_outbox_oldest_event_age_seconds ";

struct Services {
    write_api: Service,
    projector: Service,
    read_api: Service,
}

impl Services {
    /// In the order of [`ServiceKind::ALL`].
    fn each(&self) -> [&Service; 3] {
        [&self.write_api, &self.projector, &self.read_api]
    }

    fn stop(self) -> Result<()> {
        for service in [self.write_api, self.projector, self.read_api] {
            service.stop()?;
        }
        Ok(())
    }
}

/// What was seen in one look at the running system.
struct Sample {
    backlog_age: f64,
    /// Of each process, in the order of [`ServiceKind::ALL`].
    resident_mb: Vec<f64>,
}

/// Part of what each side reaches flat out.
#[derive(Debug, Clone, Copy)]
struct Part {
    name: &'static str,
    divisor: u32,
    /// So many measurements' time.
    length: u32,
    is_judged: bool,
}

/// Where halves ask for more than the machine has, quarters tell whether the sides disturb each other while it has enough.
const PARTS: [Part; 2] = [
    Part { name: "half", divisor: 2, length: 30, is_judged: true },
    Part { name: "a quarter", divisor: 4, length: 6, is_judged: false },
];

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let customers = plan.rows(CUSTOMERS);
    fill_summaries(stage, 1..plan.rows(ROWS) + 1, customers).await?;
    stage.settle().await?;
    let services = Services {
        write_api: stage.service(ServiceKind::WriteApi, &[]).await?,
        projector: stage.service(ServiceKind::Projector, &[]).await?,
        read_api: stage.service(ServiceKind::ReadApi, &[]).await?,
    };
    let mixed = Mixed { stage, plan, services, lists: Load::ListOrders(Customers::Zipf(customers)) };

    let most_reads = mixed.read(0, plan.time).await?;
    let most_writes = mixed.write(0, plan.time).await?;
    let (mut figures, mut placed) = (Vec::new(), most_writes.requests());
    for part in PARTS {
        let measured = mixed.measure(part, &most_reads, &most_writes).await?;
        placed += measured.writes.iter().map(Answered::requests).sum::<u64>();
        figures.extend(measured.figures(part));
    }
    check(stage, placed, plan.rows(ROWS)).await?;
    mixed.services.stop()?;
    Ok(figures)
}

struct Mixed<'a> {
    stage: &'a Stage,
    plan: Plan,
    services: Services,
    lists: Load,
}

impl Mixed<'_> {
    async fn read(&self, per_second: u32, time: Duration) -> Result<Answered> {
        let pace = Pace { connections: CONNECTIONS, time, per_second };
        wrk::run(self.lists, pace, self.services.read_api.url()).await
    }

    /// Until everything has been projected.
    async fn write(&self, per_second: u32, time: Duration) -> Result<Answered> {
        let pace = Pace { connections: CONNECTIONS, time, per_second };
        let answered = wrk::run(Load::PlaceOrders, pace, self.services.write_api.url()).await?;
        wait_until_drained(self.stage, 0, last_id(self.stage).await?).await?;
        Ok(answered)
    }

    /// Reads alone, writes alone, and both together.
    async fn measure(&self, part: Part, most_reads: &Answered, most_writes: &Answered) -> Result<Measured> {
        let [reads, writes] = [most_reads, most_writes].map(|most| most.whole_per_second() / part.divisor);
        let (time, alone) = (self.plan.times(part.length), self.plan.times(ALONE.min(part.length)));

        let start = MachineTime::now()?;
        let reads_alone = self.read(reads, alone).await?;
        let busy_reading = start.busy_since()?;

        let start = MachineTime::now()?;
        let writes_alone = self.write(writes, alone).await?;
        let busy_writing = start.busy_since()?;

        let start = MachineTime::now()?;
        let (reads_beside, writes_beside, samples) =
            tokio::try_join!(self.read(reads, time), self.write(writes, time), watch(&self.services, time))?;
        let busy = start.busy_since()?;
        Ok(Measured {
            asked: [reads, writes],
            reads: [reads_beside, reads_alone],
            writes: [writes_beside, writes_alone],
            busy: [busy, busy_reading + busy_writing],
            samples,
        })
    }
}

/// Of pairs the second is for comparison: alone, or the sum of both alone.
struct Measured {
    asked: [u32; 2],
    reads: [Answered; 2],
    writes: [Answered; 2],
    busy: [f64; 2],
    samples: Vec<Sample>,
}

impl Measured {
    fn figures(&self, part: Part) -> Vec<Figure> {
        let figure = |name: &str, unit, [ours, comparator]: [f64; 2], target: Option<Target>| Figure {
            scenario: NAME,
            name: format!("{}: {name}", part.name),
            unit,
            ours: vec![ours],
            comparator: vec![comparator],
            target: target.filter(|_| part.is_judged),
        };
        let [reads_asked, writes_asked] = self.asked.map(f64::from);
        let [reads, writes] = [&self.reads, &self.writes].map(|[beside, _]| beside.per_second());
        let age = self.samples.iter().map(|sample| sample.backlog_age).fold(0.0, f64::max);
        let mut figures = vec![
            figure(
                "p99 of reads, beside reads alone",
                "ms",
                self.reads.each_ref().map(Answered::p99_ms),
                Some(Target::RatioAtMost(1.5)),
            ),
            figure(
                "p50 of reads, beside reads alone",
                "ms",
                self.reads.each_ref().map(Answered::p50_ms),
                None,
            ),
            figure(
                "p99 of writes, beside writes alone",
                "ms",
                self.writes.each_ref().map(Answered::p99_ms),
                None,
            ),
            figure(
                "reads, beside what was asked for",
                "lists/s",
                [reads, reads_asked],
                Some(Target::RatioAtLeast(0.95)),
            ),
            figure(
                "writes, beside what was asked for",
                "orders/s",
                [writes, writes_asked],
                Some(Target::RatioAtLeast(0.95)),
            ),
            figure("busy cores, beside the sum of both alone", "% of all", self.busy, None),
            Figure {
                comparator: Vec::new(),
                ..figure("age of the oldest event, at most", "s", [age; 2], Some(Target::AtMost(1.0)))
            },
        ];
        figures.extend(ServiceKind::ALL.into_iter().enumerate().map(|(index, kind)| {
            figure(
                &format!("memory of {} in the last quarter, beside the second", kind.name()),
                "MB",
                [3, 1].map(|quarter| mean_mb(&self.samples, index, quarter)),
                Some(Target::RatioAtMost(1.1)),
            )
        }));
        figures
    }
}

/// Five times a second.
async fn watch(services: &Services, time: Duration) -> Result<Vec<Sample>> {
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let mut samples = Vec::new();
    for _ in 0..5 * time.as_secs().max(1) {
        tick.tick().await;
        let metrics = reqwest::get(format!("{}/metrics", services.projector.url())).await?.text().await?;
        let gauge = metrics.lines().find_map(|line| line.strip_prefix(BACKLOG_AGE));
        let backlog_age: f64 =
            gauge.context("the projector does not tell how old its backlog is")?.parse()?;
        ensure!(backlog_age.is_finite(), "the projector does not know how old its backlog is");
        let resident_mb = services.each().map(resident_mb).into_iter().collect::<Result<_>>()?;
        samples.push(Sample { backlog_age, resident_mb });
    }
    Ok(samples)
}

/// The mean of the samples of one process in one quarter, counted from 0.
fn mean_mb(samples: &[Sample], process: usize, quarter: usize) -> f64 {
    let (start, end) = (samples.len() * quarter / 4, samples.len() * (quarter + 1) / 4);
    let part = samples.get(start..end.max(start + 1)).unwrap_or(samples);
    let sum: f64 = part.iter().filter_map(|sample| sample.resident_mb.get(process)).sum();
    sum / f64::from(u32::try_from(part.len()).unwrap_or(1))
}

/// Every order that was acknowledged is stored, and every one that is stored has been projected.
async fn check(stage: &Stage, acknowledged: u64, filled: u32) -> Result<()> {
    wait_until_drained(stage, 0, last_id(stage).await?).await?;
    let orders = stage.count("orders").await?;
    ensure!(orders == acknowledged, "{acknowledged} orders were acknowledged, {orders} are stored");
    crate::outbox::check_projected(stage, orders + u64::from(filled)).await
}
