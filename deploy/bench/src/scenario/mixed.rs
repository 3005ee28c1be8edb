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
use crate::usage::resident_mb;
use crate::wrk::{self, Answered, Customers, Load, Pace};

pub(super) const NAME: &str = "mixed";

/// So many measurements' time.
const LENGTH: u32 = 30;

/// The gauge of the projector that tells how old the oldest event is.
const BACKLOG_AGE: &str = "orders_outbox_oldest_event_age_seconds ";

struct Services {
    write_api: Service,
    projector: Service,
    read_api: Service,
}

/// What was seen in one look at the running system.
struct Sample {
    backlog_age: f64,
    resident_mb: f64,
}

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let customers = plan.rows(CUSTOMERS);
    fill_summaries(stage, 1..plan.rows(ROWS) + 1, customers).await?;
    stage.settle().await?;
    let services = Services {
        write_api: stage.service(ServiceKind::WriteApi, &[]).await?,
        projector: stage.service(ServiceKind::Projector, &[]).await?,
        read_api: stage.service(ServiceKind::ReadApi, &[]).await?,
    };
    let (write_url, read_url) = (services.write_api.url(), services.read_api.url());
    let (place, list) = (Load::PlaceOrders, Load::ListOrders(Customers::Zipf(customers)));

    let flat_out = Pace { connections: CONNECTIONS, time: plan.time, per_second: 0 };
    let most_reads = wrk::run(list, flat_out, read_url).await?;
    let most_writes = wrk::run(place, flat_out, write_url).await?;
    wait_until_drained(stage, 0, last_id(stage).await?).await?;
    let half =
        |most: &Answered| Pace { per_second: most.half_per_second(), time: plan.times(LENGTH), ..flat_out };

    let alone = wrk::run(list, half(&most_reads), read_url).await?;
    let (reads, writes, samples) = tokio::join!(
        wrk::run(list, half(&most_reads), read_url),
        wrk::run(place, half(&most_writes), write_url),
        watch(&services, plan.times(LENGTH)),
    );
    let (reads, writes, samples) = (reads?, writes?, samples?);
    check(stage, most_writes.requests + writes.requests, plan.rows(ROWS)).await?;
    for service in [services.write_api, services.projector, services.read_api] {
        service.stop()?;
    }

    let age = samples.iter().map(|sample| sample.backlog_age).fold(0.0, f64::max);
    let [early, late] = [1, 3].map(|quarter| mean_mb(&samples, quarter));
    let figure = |name: &str, unit, ours, comparator: Option<f64>, target| Figure {
        scenario: NAME,
        name: name.to_owned(),
        unit,
        ours: vec![ours],
        comparator: comparator.into_iter().collect(),
        target,
    };
    Ok(vec![
        figure(
            "p99 of reads, beside reads alone",
            "ms",
            reads.p99_ms(),
            Some(alone.p99_ms()),
            Some(Target::RatioAtMost(1.5)),
        ),
        figure("p50 of reads, beside reads alone", "ms", reads.p50_ms(), Some(alone.p50_ms()), None),
        figure(
            "reads, beside what they reach flat out",
            "lists/s",
            reads.per_second(),
            Some(most_reads.per_second()),
            None,
        ),
        figure(
            "writes, beside what they reach flat out",
            "orders/s",
            writes.per_second(),
            Some(most_writes.per_second()),
            None,
        ),
        figure("p99 of writes", "ms", writes.p99_ms(), None, None),
        figure("age of the oldest event, at most", "s", age, None, Some(Target::AtMost(1.0))),
        figure(
            "memory in the last quarter, beside the second",
            "MB",
            late,
            Some(early),
            Some(Target::RatioAtMost(1.1)),
        ),
    ])
}

/// Once a second.
async fn watch(services: &Services, time: Duration) -> Result<Vec<Sample>> {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut samples = Vec::new();
    for _ in 0..time.as_secs().max(1) {
        tick.tick().await;
        let metrics = reqwest::get(format!("{}/metrics", services.projector.url())).await?.text().await?;
        let gauge = metrics.lines().find_map(|line| line.strip_prefix(BACKLOG_AGE));
        let Services { write_api, projector, read_api } = services;
        let resident = [write_api, projector, read_api].map(resident_mb).into_iter().sum::<Result<f64>>()?;
        samples.push(Sample {
            backlog_age: gauge.context("the projector does not tell how old its backlog is")?.parse()?,
            resident_mb: resident,
        });
    }
    Ok(samples)
}

/// The mean of the samples in one quarter, counted from 0.
fn mean_mb(samples: &[Sample], quarter: usize) -> f64 {
    let (start, end) = (samples.len() * quarter / 4, samples.len() * (quarter + 1) / 4);
    let part = samples.get(start..end.max(start + 1)).unwrap_or(samples);
    let sum: f64 = part.iter().map(|sample| sample.resident_mb).sum();
    sum / f64::from(u32::try_from(part.len()).unwrap_or(1))
}

/// Every order that was acknowledged is stored, and every one that is stored has been projected.
async fn check(stage: &Stage, acknowledged: u64, filled: u32) -> Result<()> {
    wait_until_drained(stage, 0, last_id(stage).await?).await?;
    let orders = stage.count("orders").await?;
    let hung_up = 2 * u64::from(CONNECTIONS);
    ensure!(
        (acknowledged..=acknowledged + hung_up).contains(&orders),
        "{acknowledged} orders were acknowledged, {orders} are stored"
    );
    crate::outbox::check_projected(stage, orders + u64::from(filled)).await
}
