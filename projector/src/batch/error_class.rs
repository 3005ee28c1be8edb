//! Whose fault it is that events could not be applied.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The events', if the database works otherwise, which has to be tried. diesel-async reports most errors without their
    /// code, so that "value too long" cannot be told from "permission denied"; and a constraint may be of the events or of a
    /// mistake in the schema.
    Events,
    /// A lock that another session holds, if leaving out locked rows helps, which has to be tried.
    Lock,
    /// The database failed to do its work: trying again later may succeed.
    Database,
}

/// PostgreSQL looks for a deadlock after a second (`deadlock_timeout`).
const DEADLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Whose fault `error` is, which came after `took` on a connection on which no wait ends before `shortest_timeout`.
///
/// A lock timeout, a statement timeout and a deadlock all take as long as their limit. An error that came sooner is none of
/// these.
pub(crate) fn blame(error: &Error, took: Duration, shortest_timeout: Duration) -> Blame {
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
        | Error::SerializationError(_)
        | Error::DeserializationError(_)
        | Error::QueryBuilderError(_)
        | Error::NotFound => Blame::Events,
        Error::DatabaseError(
            ClosedConnection | ReadOnlyTransaction | SerializationFailure | UnableToSendCommand,
            _,
        ) => Blame::Database,
        Error::DatabaseError(_, _) if took < shortest_timeout.min(DEADLOCK_TIMEOUT) => Blame::Events,
        Error::DatabaseError(_, _) => Blame::Lock,
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
        assert_eq!(of(DatabaseErrorKind::Unknown, LIMIT / 2), Blame::Events);
        assert_eq!(of(DatabaseErrorKind::Unknown, LIMIT), Blame::Lock);
        let error = Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new("deadlock".to_owned()));
        assert_eq!(blame(&error, DEADLOCK_TIMEOUT, DEADLOCK_TIMEOUT * 5), Blame::Lock);
    }
}
