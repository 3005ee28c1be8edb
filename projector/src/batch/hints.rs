//! Which event of a failed part is probably at fault: the number of rows that were written before it shows its
//! position. A hint may be wrong. An event is applied alone before it is parked; if it succeeds, parts are halved
//! instead.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use shared_events::OrderEvent;

use super::BatchError;
use super::applier::Applier;

/// How many rows each projection has tried to write in this transaction; none if unknown.
pub(super) struct Hints {
    rows: Vec<Option<i64>>,
    is_misleading: bool,
}

impl Hints {
    /// The numbers are no longer known.
    pub(super) fn forget(&mut self) {
        self.rows.fill(None);
    }
}

impl Applier {
    pub(super) async fn hints(&self, connection: &mut AsyncPgConnection) -> QueryResult<Hints> {
        Ok(Hints { rows: self.rows_tried(connection).await?, is_misleading: false })
    }

    /// Records that `events` were applied. If a hint said that they would be refused, this batch uses no more hints.
    pub(super) fn record_written(&self, hints: &mut Hints, events: &[&OrderEvent], is_suspect: bool) {
        hints.is_misleading |= is_suspect;
        for (rows, projection) in hints.rows.iter_mut().zip(&self.projections) {
            let written = i64::try_from(projection.row_order(events).len()).unwrap_or_default();
            *rows = rows.map(|rows| rows.saturating_add(written));
        }
    }

    /// The position of the event that is probably at fault for `error`, after the rollback of `events`.
    pub(super) async fn suspect(
        &self,
        connection: &mut AsyncPgConnection,
        hints: &mut Hints,
        events: &[&OrderEvent],
        error: &BatchError,
    ) -> QueryResult<Option<usize>> {
        if hints.is_misleading {
            return Ok(None);
        }
        let now = self.rows_tried(connection).await?;
        let before = std::mem::replace(&mut hints.rows, now);
        let BatchError::Projection { projection: failed, .. } = error else { return Ok(None) };
        let each = self.projections.iter().zip(before.into_iter().zip(&hints.rows));
        let suspect = each.filter(|(projection, _)| projection.name() == *failed).find_map(
            |(projection, (before, now))| {
                let written = usize::try_from((*now)?.checked_sub(before?)?).ok()?;
                projection.row_order(events).get(written).copied()
            },
        );
        Ok(suspect)
    }

    async fn rows_tried(&self, connection: &mut AsyncPgConnection) -> QueryResult<Vec<Option<i64>>> {
        let mut rows = Vec::with_capacity(self.projections.len());
        for projection in &self.projections {
            rows.push(projection.rows_tried(connection).await?);
        }
        Ok(rows)
    }
}
