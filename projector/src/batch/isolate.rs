//! Isolating poison events, and events whose rows are locked, without giving up the claim.
//!
//! Events are applied in parts, each in a savepoint. A part that fails is rolled back and halved, until the event at
//! fault is alone. Rows that exist and are locked were skipped before. The locks found here are on rows that another
//! session has inserted and not committed.

use diesel_async::AsyncPgConnection;
use service_kit::telemetry::chain;
use shared_events::OrderEvent;

use super::BatchError;
use super::applier::{Applier, Mode};
use super::control::Refused;
use super::decode::{DecodedEvent, events};
use super::error_class::ErrorClass;
use super::savepoints::Savepoints;
use super::search::{Found, Part, Search};

impl Applier {
    /// Applies events in parts of size `part`, and in smaller ones where that fails.
    pub(super) async fn isolate(
        &self,
        connection: &mut AsyncPgConnection,
        ready: &[DecodedEvent],
        part: usize,
        mode: Mode,
    ) -> Result<Found, BatchError> {
        let events = events(ready);
        let savepoints = Savepoints::begin(connection).await?;
        let hints = self.hints(connection).await?;
        let mut search = Search::new(events.len(), part, savepoints, hints);
        while let Some(part) = search.parts.pop() {
            let some = events.get(part.events.clone()).unwrap_or_default();
            let mut result = self.try_part(connection, &search.savepoints, some, mode).await?;
            let was_wait_short = search.savepoints.lock_timeout().is_some() && !search.locks.are_several();
            if matches!(result, Err((ErrorClass::Lock, _))) && some.len() == 1 && was_wait_short {
                search
                    .savepoints
                    .undo_with_lock_timeout(connection, self.database.lock_or_statement_timeout())
                    .await?;
                result = self.try_part(connection, &search.savepoints, some, mode).await?;
            }
            match result {
                Ok(()) => {
                    search.savepoints.keep(connection, !search.parts.is_empty()).await?;
                    self.record_written(&mut search.hints, some, part.is_suspect);
                }
                Err((ErrorClass::Lock, error)) => {
                    self.part_is_locked(connection, &mut search, part, some, &error, mode).await?;
                }
                Err((_, error)) => self.part_is_refused(connection, &mut search, part, some, &error).await?,
            }
        }
        if let Some((first, _)) = search.found.refused.first_key_value() {
            let first = ready.get(*first).map(DecodedEvent::fields).unwrap_or_default();
            self.check_with_controls(connection, search.refused, &first, mode).await?;
        }
        Ok(search.found)
    }

    async fn part_is_locked(
        &self,
        connection: &mut AsyncPgConnection,
        search: &mut Search,
        part: Part,
        events: &[&OrderEvent],
        error: &BatchError,
        mode: Mode,
    ) -> Result<(), BatchError> {
        search.savepoints.undo_with_lock_timeout(connection, search.locks.wait()).await?;
        if events.len() > 1 && search.locks.is_worth_halving(&search.savepoints) {
            match self.suspect(connection, &mut search.hints, events, error).await? {
                // Without a second wait: a waiting event is tried again.
                Some(suspect) if search.locks.are_several() => {
                    search.mark_locked(&part, part.events.start + suspect);
                }
                Some(suspect) => search.take_out(&part, part.events.start + suspect),
                None => search.halve(&part),
            }
            return Ok(());
        }
        search.hints.forget();
        if search.locks.found == 0 || part.events.len() > 1 {
            self.check_that_table_is_free(connection, &mut search.savepoints, mode).await?;
        }
        search.locks.add(part.events.len());
        search.savepoints.undo_with_lock_timeout(connection, search.locks.wait()).await?;
        search.found.locked.extend(part.events);
        Ok(())
    }

    async fn part_is_refused(
        &self,
        connection: &mut AsyncPgConnection,
        search: &mut Search,
        part: Part,
        events: &[&OrderEvent],
        error: &BatchError,
    ) -> Result<(), BatchError> {
        search.savepoints.undo(connection).await?;
        if let [event] = events {
            search.refused.add(event, error);
            search.found.refused.insert(part.events.start, reason(error));
            return Ok(());
        }
        match self.suspect(connection, &mut search.hints, events, error).await? {
            Some(suspect) => search.take_out(&part, part.events.start + suspect),
            None => search.halve(&part),
        }
        Ok(())
    }

    /// Fails if the whole table is locked, which is not about one event. Nothing has been written since the last
    /// savepoint.
    async fn check_that_table_is_free(
        &self,
        connection: &mut AsyncPgConnection,
        savepoints: &mut Savepoints,
        mode: Mode,
    ) -> Result<(), BatchError> {
        savepoints.undo_with_lock_timeout(connection, self.database.lock_or_statement_timeout()).await?;
        let controls = Refused::default().controls();
        self.apply_control(connection, &controls.iter().collect::<Vec<_>>(), mode).await
    }

    /// Applies a part. The inner error is about some of its events, the outer one about the whole batch.
    async fn try_part(
        &self,
        connection: &mut AsyncPgConnection,
        savepoints: &Savepoints,
        events: &[&OrderEvent],
        mode: Mode,
    ) -> Result<Result<(), (ErrorClass, BatchError)>, BatchError> {
        let Err(error) = self.apply(connection, events, mode).await else { return Ok(Ok(())) };
        let lock_timeout =
            savepoints.lock_timeout().unwrap_or_else(|| self.database.lock_or_statement_timeout());
        match self.classify_within(&error, lock_timeout) {
            ErrorClass::Database => Err(error),
            // Repeats the batch with `skip_locked`.
            ErrorClass::Lock if !mode.skip_locked => Err(error),
            class => Ok(Err((class, error))),
        }
    }
}

fn reason(error: &BatchError) -> String {
    match error {
        BatchError::Projection { projection, source, .. } => format!("{projection}: {}", chain(source)),
        other => chain(other),
    }
}
