//! The event log: filled with whatever leaves the outbox, read without gaps, kept for some days.

mod filling;
mod reading;
mod retention;
mod settled;
mod storm;

use anyhow::Result;
use projector::event_log::{self, LogRead, ReadLimits};
use service_kit::database::Database;

use crate::support::Scene;

pub(crate) const LIMITS: ReadLimits = ReadLimits { events: 1_000, bytes: 1 << 20 };

/// A reader with its own place in the log.
pub(crate) struct Reader {
    database: Database,
    pub(crate) after: i64,
}

impl Reader {
    pub(crate) fn at_start(scene: &Scene) -> Result<Self> {
        Ok(Self { database: scene.open()?, after: 0 })
    }

    /// Reads once, and moves behind what was read.
    pub(crate) async fn read(&mut self) -> Result<LogRead> {
        self.read_up_to(LIMITS).await
    }

    pub(crate) async fn read_up_to(&mut self, limits: ReadLimits) -> Result<LogRead> {
        let mut session = self.database.session().await?;
        let read = event_log::read(&mut session, self.after, limits).await?;
        session.give_back();
        self.after = read.events.last().map_or(self.after, |event| event.position);
        Ok(read)
    }

    /// The positions of one read, and the hole in front of which it ended.
    pub(crate) async fn positions(&mut self) -> Result<(Vec<i64>, Option<i64>)> {
        let read = self.read().await?;
        Ok((read.events.iter().map(|event| event.position).collect(), read.hole))
    }
}

/// Publishes how far ids are settled, as a projector does.
pub(crate) async fn publish(scene: &Scene, below: i64) -> Result<()> {
    let publish = "INSERT INTO event_log_settled (below) VALUES ($1) ON CONFLICT DO NOTHING";
    scene.session.execute(publish, &[&below]).await?;
    Ok(())
}
