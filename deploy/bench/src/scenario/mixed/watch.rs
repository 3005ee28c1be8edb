//! Observes the services under load.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::services::Service;

use crate::stage::Stage;
use crate::usage::resident_mb;

/// The projector's gauge of the oldest event's age.
const BACKLOG_AGE: &str = "orders_outbox_oldest_event_age_seconds ";

/// One sample, with its start and end.
#[derive(Debug)]
struct Sample {
    start: Instant,
    end: Instant,
    backlog_age: f64,
    /// Per process.
    resident_mb: Vec<f64>,
}

#[derive(Debug)]
pub(super) struct Seen(Vec<Sample>);

/// While `work` runs, samples the age of the projector's backlog and the memory of all processes.
pub(super) async fn watch_during<T>(
    work: impl Future<Output = Result<T>>,
    stage: &Stage,
    projector: &Service,
    all: [&Service; 3],
) -> Result<(T, Seen)> {
    let (done, samples) = sample_during(work, async || sample(stage, projector, all).await).await?;
    Ok((done, Seen(samples)))
}

/// Samples ten times per second, and once more after `work`.
async fn sample_during<T, S>(
    work: impl Future<Output = Result<T>>,
    sample: impl AsyncFn() -> Result<S>,
) -> Result<(T, Vec<S>)> {
    let mut work = pin!(work);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut samples = Vec::new();
    let done = loop {
        tokio::select! {
            done = &mut work => break done?,
            _ = tick.tick() => samples.push(sample().await?),
        }
    };
    samples.push(sample().await?);
    Ok((done, samples))
}

async fn sample(stage: &Stage, projector: &Service, all: [&Service; 3]) -> Result<Sample> {
    let start = Instant::now();
    let metrics = stage.http.get(format!("{}/metrics", projector.admin_url())).send().await?.text().await?;
    let end = Instant::now();
    let gauge = metrics.lines().find_map(|line| line.strip_prefix(BACKLOG_AGE));
    let backlog_age: f64 = gauge.context("the projector has no metric of its backlog's age")?.parse()?;
    ensure!(backlog_age.is_finite(), "the projector does not know the age of its backlog");
    let resident_mb = all.into_iter().map(resident_mb).collect::<Result<_>>()?;
    Ok(Sample { start, end, backlog_age, resident_mb })
}

impl Seen {
    /// Upper bound of any event's age, in seconds: the oldest event of a sample may have aged until the next sample.
    pub(super) fn backlog_age(&self) -> f64 {
        let Self(samples) = self;
        let until_next = |(one, next): (&Sample, &Sample)| {
            one.backlog_age + next.end.duration_since(one.start).as_secs_f64()
        };
        let last = samples.last().map(|sample| sample.backlog_age);
        samples.iter().zip(samples.iter().skip(1)).map(until_next).chain(last).fold(0.0, f64::max)
    }

    /// The mean memory of a process in one quarter of the time (0 to 3).
    pub(super) fn mean_mb(&self, process: usize, quarter: usize) -> f64 {
        let Self(samples) = self;
        let (start, end) = (samples.len() * quarter / 4, samples.len() * (quarter + 1) / 4);
        let part = samples.get(start..end.max(start + 1)).unwrap_or(samples);
        let sum: f64 = part.iter().filter_map(|sample| sample.resident_mb.get(process)).sum();
        sum / f64::from(u32::try_from(part.len()).unwrap_or(1))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn samples_are_taken_until_the_work_is_done_and_once_after() -> Result<()> {
        let (count, third, is_done) = (Cell::new(0), Notify::new(), Cell::new(false));
        let work = async {
            third.notified().await;
            is_done.set(true);
            Ok("done")
        };
        let sample = async || {
            count.set(count.get() + 1);
            if count.get() == 3 {
                third.notify_one();
            }
            Ok(is_done.get())
        };
        let (done, samples) = sample_during(work, sample).await?;
        assert_eq!(done, "done");
        assert!(samples.len() > 3, "{samples:?}");
        assert_eq!((samples.first(), samples.last()), (Some(&false), Some(&true)));
        Ok(())
    }

    #[test]
    fn the_oldest_event_and_the_memory_of_each_quarter_are_found() {
        let start = Instant::now();
        let sample = |number: u8| Sample {
            start: start + Duration::from_millis(100) * number.into(),
            end: start + Duration::from_millis(100) * number.into() + Duration::from_millis(1),
            backlog_age: f64::from(number % 5),
            resident_mb: vec![1.0, f64::from(number)],
        };
        let seen = Seen((0..8).map(sample).collect());
        assert!((seen.backlog_age() - 4.101).abs() < 1e-9);
        assert!((seen.mean_mb(1, 1) - 2.5).abs() < 1e-9);
        assert!((seen.mean_mb(1, 3) - 6.5).abs() < 1e-9);
    }
}
