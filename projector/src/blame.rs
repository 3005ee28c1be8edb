//! Whose fault it is that events could not be applied.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// What the events say cannot be stored: trying again gives the same.
    Events,
    /// The events', if the database works otherwise. diesel-async reports most errors without their code, so that "value
    /// too long" cannot be told from "permission denied" by the error alone.
    EventsIfAllElseWorks,
    /// The database failed to do its work: trying again later may succeed.
    Database,
}

/// Whose fault `error` is, which came after `took` on a connection that waits for locks up to `lock_timeout`.
///
/// A lock timeout, a deadlock (detected after a second) and a statement timeout all take at least `lock_timeout`. An
/// error that came sooner is none of these.
pub(crate) fn blame(error: &Error, took: Duration, lock_timeout: Duration) -> Blame {
    use DatabaseErrorKind::{
        CheckViolation, ClosedConnection, ExclusionViolation, ForeignKeyViolation, NotNullViolation,
        ReadOnlyTransaction, RestrictViolation, SerializationFailure, UnableToSendCommand, UniqueViolation,
    };
    match error {
        Error::DatabaseError(
            CheckViolation | ExclusionViolation | ForeignKeyViolation | NotNullViolation | RestrictViolation
            | UniqueViolation,
            _,
        )
        | Error::SerializationError(_) => Blame::Events,
        Error::DatabaseError(
            ClosedConnection | ReadOnlyTransaction | SerializationFailure | UnableToSendCommand,
            _,
        ) => Blame::Database,
        Error::DatabaseError(_, _) if took < lock_timeout => Blame::EventsIfAllElseWorks,
        Error::DeserializationError(_) | Error::QueryBuilderError(_) | Error::NotFound => {
            Blame::EventsIfAllElseWorks
        }
        _ => Blame::Database,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    fn of(kind: DatabaseErrorKind, took: Duration) -> Blame {
        blame(&Error::DatabaseError(kind, Box::new("said so".to_owned())), took, LIMIT)
    }

    #[test]
    fn a_constraint_blames_the_events_however_long_it_took() {
        assert_eq!(of(DatabaseErrorKind::CheckViolation, LIMIT * 2), Blame::Events);
    }

    #[test]
    fn a_lost_connection_and_a_lost_race_blame_the_database() {
        for kind in [
            DatabaseErrorKind::UnableToSendCommand,
            DatabaseErrorKind::ClosedConnection,
            DatabaseErrorKind::SerializationFailure,
            DatabaseErrorKind::ReadOnlyTransaction,
        ] {
            assert_eq!(of(kind, Duration::ZERO), Blame::Database);
        }
        assert_eq!(blame(&Error::BrokenTransactionManager, Duration::ZERO, LIMIT), Blame::Database);
    }

    #[test]
    fn an_error_without_a_code_may_be_the_events_fault_only_if_it_came_sooner_than_any_timeout() {
        assert_eq!(of(DatabaseErrorKind::Unknown, LIMIT / 2), Blame::EventsIfAllElseWorks);
        assert_eq!(of(DatabaseErrorKind::Unknown, LIMIT), Blame::Database);
    }
}
