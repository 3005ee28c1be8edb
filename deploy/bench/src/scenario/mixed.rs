//! All processes at once: writes and reads, each at half of its maximum rate, while the projector runs.

mod measured;
mod watch;

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::services::{Service, ServiceKind};

use self::measured::Measured;
use self::watch::watch_during;
use super::read::{CONNECTIONS, CUSTOMERS, ROWS, check_responses};
use crate::outbox::{check_projected, last_id, wait_until_drained};
use crate::plan::Plan;
use crate::report::Figure;
use crate::rows::fill_summaries;
use crate::stage::{Stage, stop};
use crate::usage::MachineTime;
use crate::wrk::{self, Customers, Load, LoadResult, Pace};

/// Duration of each side alone, in measurements.
const ALONE: u32 = 6;

/// The maximum rate is divided by this.
#[derive(Debug, Clone, Copy)]
struct Part {
    name: &'static str,
    divisor: u32,
    /// Duration in measurements.
    length: u32,
    is_judged: bool,
}

/// If half rates exceed the machine's capacity, quarter rates show whether the sides disturb each other below it.
const PARTS: [Part; 2] = [
    Part { name: "half", divisor: 2, length: 30, is_judged: true },
    Part { name: "a quarter", divisor: 4, length: 6, is_judged: false },
];

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let customers = Customers::Zipf(plan.rows(CUSTOMERS));
    fill_summaries(stage, 1..plan.rows(ROWS) + 1, plan.rows(CUSTOMERS)).await?;
    stage.settle().await?;
    let services = Services {
        write_api: stage.service(ServiceKind::WriteApi, &[]).await?,
        projector: stage.service(ServiceKind::Projector, &[]).await?,
        read_api: stage.service(ServiceKind::ReadApi, &[]).await?,
    };
    let shortest = check_responses(stage, services.read_api.url(), None, customers).await?;
    let mixed = Mixed { stage, plan, services, lists: Load::ListOrders(customers), shortest };

    let max_reads = mixed.read(0, plan.time).await?;
    // The projector runs too: this is less than write-api reaches alone.
    let max_writes = mixed.write(0, plan.time).await?;
    let mut figures = vec![
        Figure::new("max read rate", "lists/s", vec![max_reads.per_second()]),
        Figure::new("max write rate with the projector", "orders/s", vec![max_writes.per_second()]),
    ];
    let mut placed = max_writes.requests();
    for part in PARTS {
        let measured = mixed.measure(part, &max_reads, &max_writes).await?;
        placed += measured.placed();
        figures.extend(measured.figures(part));
    }
    mixed.services.stop()?;
    let orders = stage.count("orders").await?;
    ensure!(orders == placed, "{placed} orders were acknowledged, {orders} are stored");
    check_projected(stage, orders + u64::from(plan.rows(ROWS))).await?;
    Ok(figures)
}

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
        [self.write_api, self.projector, self.read_api].into_iter().try_for_each(stop)
    }
}

struct Mixed<'a> {
    stage: &'a Stage,
    plan: Plan,
    services: Services,
    lists: Load,
    /// The size of the shortest list before the first order, in bytes.
    shortest: u64,
}

impl Mixed<'_> {
    async fn read(&self, per_second: u32, time: Duration) -> Result<LoadResult> {
        let pace = Pace::at(per_second, CONNECTIONS, time);
        let result = wrk::run(self.lists, pace, self.services.read_api.url()).await?;
        // Empty lists would be fast. New orders are slightly shorter than the first ones.
        let (each, shortest) = (result.bytes_each(), self.shortest);
        ensure!(
            each > shortest / 2,
            "lists have {each} bytes on average; the shortest had {shortest} before"
        );
        Ok(result)
    }

    /// Waits until everything is projected.
    async fn write(&self, per_second: u32, time: Duration) -> Result<LoadResult> {
        let pace = Pace::at(per_second, CONNECTIONS, time);
        let result = wrk::run(Load::PlaceOrders, pace, self.services.write_api.url()).await?;
        wait_until_drained(self.stage, 0, last_id(self.stage).await?).await?;
        Ok(result)
    }

    /// Reads alone, writes alone, and both together.
    async fn measure(&self, part: Part, max_reads: &LoadResult, max_writes: &LoadResult) -> Result<Measured> {
        let [reads, writes] = [max_reads, max_writes].map(|max| max.whole_per_second() / part.divisor);
        let (time, alone) = (self.plan.times(part.length), self.plan.times(ALONE.min(part.length)));

        let start = MachineTime::now()?;
        let reads_alone = self.read(reads, alone).await?;
        let busy_reading = start.busy_since()?;

        let start = MachineTime::now()?;
        let writes_alone = self.write(writes, alone).await?;
        let busy_writing = start.busy_since()?;

        let start = MachineTime::now()?;
        let both = Box::pin(async { tokio::try_join!(self.read(reads, time), self.write(writes, time)) });
        let ((reads_together, writes_together), seen) =
            watch_during(both, self.stage, &self.services.projector, self.services.each()).await?;
        let busy = start.busy_since()?;
        Ok(Measured {
            requested: [reads, writes],
            reads: [reads_together, reads_alone],
            writes: [writes_together, writes_alone],
            busy_percent: [busy, busy_reading + busy_writing],
            seen,
        })
    }
}
