//! Which event of a part that failed is at fault, as the number of rows shows that were written before it. A hint is only a hint: an
//! event is tried alone before it is parked; where it is accepted parts are halved instead.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use shared_events::OrderEvent;

use super::{Drain, DrainError};

/// How many rows each projection has tried to write in this transaction, as far as it is known.
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

impl Drain {
    pub(super) async fn hints(&self, connection: &mut AsyncPgConnection) -> QueryResult<Hints> {
        Ok(Hints { rows: self.rows_tried(connection).await?, is_misleading: false })
    }

    /// `events` were applied, though one that was suspected may have been among them.
    pub(super) fn note_written(&self, hints: &mut Hints, events: &[OrderEvent], is_suspect: bool) {
        hints.is_misleading |= is_suspect;
        for (rows, projection) in hints.rows.iter_mut().zip(&self.projections) {
            let written = i64::try_from(projection.row_order(events).len()).unwrap_or_default();
            *rows = rows.map(|rows| rows.saturating_add(written));
        }
    }

    /// The position of the event that is probably at fault for `error`. What was written of `events` has been taken back.
    pub(super) async fn suspect(
        &self,
        connection: &mut AsyncPgConnection,
        hints: &mut Hints,
        events: &[OrderEvent],
        error: &DrainError,
    ) -> QueryResult<Option<usize>> {
        if hints.is_misleading {
            return Ok(None);
        }
        let now = self.rows_tried(connection).await?;
        let before = std::mem::replace(&mut hints.rows, now);
        let DrainError::Projection { projection: failed, .. } = error else { return Ok(None) };
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
