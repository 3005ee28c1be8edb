//! Poison events, and their cost for other events.

mod steady;

use std::time::Instant;

use anyhow::{Result, ensure};
use testkit::services::ServiceKind;

use crate::outbox::{last_id, wait_until_drained};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::fill_outbox;
use crate::stage::{Stage, stop};

const EVENTS: u32 = 100_000;
const CUSTOMERS: u32 = 100_000;

/// What refuses an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The projection, before the table.
    Known,
    /// Only PostgreSQL.
    Unknown,
}

impl Refusal {
    /// The total of a refused order.
    fn total_cents(self) -> i64 {
        match self {
            Self::Known => -1,
            Self::Unknown => UNKNOWN_TOTAL,
        }
    }
}

/// Refused by [`REFUSE`].
const UNKNOWN_TOTAL: i64 = 666;

/// A trigger that refuses orders with one total, with an error of a kind that diesel-async does not report. Other
/// orders cost one comparison.
const REFUSE: &str = "
    CREATE FUNCTION bench_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused by the benchmark' USING ERRCODE = 'data_exception'; END $$;
    CREATE TRIGGER bench_refuse BEFORE INSERT ON order_summary FOR EACH ROW
        WHEN (NEW.total_cents = 666) EXECUTE FUNCTION bench_refuse()";
const STOP_REFUSING: &str = "DROP TRIGGER bench_refuse ON order_summary; DROP FUNCTION bench_refuse()";

struct Case {
    refusal: Refusal,
    /// One of this many events is refused.
    one_in: u32,
    /// The number of events, in percent of [`EVENTS`].
    events_percent: u32,
    /// The target: at least this part of the rate without refused events.
    min_ratio: Option<f64>,
}

const CASES: [Case; 5] = [
    Case { refusal: Refusal::Known, one_in: 100, events_percent: 100, min_ratio: Some(0.9) },
    Case { refusal: Refusal::Known, one_in: 2, events_percent: 100, min_ratio: Some(0.5) },
    Case { refusal: Refusal::Unknown, one_in: 1_000, events_percent: 100, min_ratio: Some(0.7) },
    Case { refusal: Refusal::Unknown, one_in: 100, events_percent: 100, min_ratio: Some(0.3) },
    Case { refusal: Refusal::Unknown, one_in: 2, events_percent: 20, min_ratio: None },
];

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    stage.session.batch_execute(REFUSE).await?;
    let figures = measure_with_trigger(stage, plan).await;
    stage.session.batch_execute(STOP_REFUSING).await?;
    figures
}

async fn measure_with_trigger(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for Case { refusal, one_in, events_percent, min_ratio } in CASES {
        let events = plan.rows(EVENTS * events_percent / 100);
        let (mut ours, mut clean) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            clean.push(drain(stage, events, 0, refusal).await?);
            ours.push(drain(stage, events, (events / one_in).max(1), refusal).await?);
        }
        let known_to =
            if refusal == Refusal::Known { "known to the projection" } else { "known to PostgreSQL only" };
        let name = format!("1 in {one_in} refused, {known_to} (reference: none refused)");
        let figure = Figure::new(name, "events/s", ours).with_reference(clean);
        figures.push(match min_ratio {
            Some(least) => figure.with(Target::RatioAtLeast(least)),
            None => figure,
        });
    }
    figures.push(steady::measure(stage, plan).await?);
    Ok(figures)
}

/// Measures from the start of the process until no event is left. The refused events are spread evenly.
async fn drain(stage: &Stage, events: u32, refused: u32, refusal: Refusal) -> Result<f64> {
    stage.empty().await?;
    fill_outbox(stage, 1..events + 1, CUSTOMERS).await?;
    if let Some(every) = events.checked_div(refused) {
        refuse(stage, every, refusal).await?;
    }
    stage.settle().await?;
    let last = last_id(stage).await?;
    let start = Instant::now();
    let projector = stage.service(ServiceKind::Projector, &[]).await?;
    wait_until_drained(stage, last - i64::from(events) + 1, last).await?;
    let took = start.elapsed();
    stop(projector)?;
    check(stage, events, refused).await?;
    Ok(f64::from(events) / took.as_secs_f64())
}

async fn refuse(stage: &Stage, every: u32, refusal: Refusal) -> Result<()> {
    let total = refusal.total_cents();
    let update = format!(
        r#"UPDATE outbox
           SET payload = regexp_replace(payload::text, '"total_cents":[0-9]+', '"total_cents":{total}')::json
           WHERE id % {every} = 0"#
    );
    Ok(stage.session.batch_execute(&update).await?)
}

/// Checks that each event was projected or parked as expected.
async fn check(stage: &Stage, events: u32, refused: u32) -> Result<()> {
    let (parked, projected) = (stage.count("parked_events").await?, stage.count("order_summary").await?);
    let refused = u64::from(refused);
    ensure!(
        parked.abs_diff(refused) <= 1 && parked + projected == u64::from(events),
        "of {events} events {projected} were projected and {parked} parked, of which {refused} were to be refused"
    );
    Ok(())
}
