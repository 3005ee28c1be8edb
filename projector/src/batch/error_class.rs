//! Error classification: is an error about an event, a lock or the database?

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// Probably a poison event. A control must prove that the database accepts others: diesel-async reports most errors
    /// without their SQLSTATE, so "value too long" looks like "permission denied", and a constraint may be a mistake in
    /// the schema.
    Event,
    /// Probably a lock that another session holds. Leaving out locked rows must prove it.
    Lock,
    /// The database failed. Trying again later may succeed.
    Database,
}

/// PostgreSQL's default `deadlock_timeout`: the shortest time until it reports a deadlock.
const DEADLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Classifies `error`, which came after `took` on a connection on which no wait ends before `min_timeout`.
///
/// A lock timeout, a statement timeout and a deadlock take as long as their limit. An error that came sooner is none of
/// them.
pub(crate) fn classify(error: &Error, took: Duration, min_timeout: Duration) -> ErrorClass {
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
        | Error::NotFound => ErrorClass::Event,
        Error::DatabaseError(
            ClosedConnection | ReadOnlyTransaction | SerializationFailure | UnableToSendCommand,
            _,
        ) => ErrorClass::Database,
        Error::DatabaseError(_, _) if took < min_timeout.min(DEADLOCK_TIMEOUT) => ErrorClass::Event,
        Error::DatabaseError(_, _) => ErrorClass::Lock,
        _ => ErrorClass::Database,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    fn class(kind: DatabaseErrorKind, took: Duration) -> ErrorClass {
        classify(&Error::DatabaseError(kind, Box::new("message".to_owned())), took, LIMIT)
    }

    #[test]
    fn a_constraint_violation_is_an_events_error_however_long_it_took() {
        assert_eq!(class(DatabaseErrorKind::CheckViolation, LIMIT * 2), ErrorClass::Event);
    }

    #[test]
    fn a_lost_connection_and_a_lost_race_are_the_databases_errors() {
        for kind in [
            DatabaseErrorKind::UnableToSendCommand,
            DatabaseErrorKind::ClosedConnection,
            DatabaseErrorKind::SerializationFailure,
            DatabaseErrorKind::ReadOnlyTransaction,
        ] {
            assert_eq!(class(kind, Duration::ZERO), ErrorClass::Database);
        }
        let broken = classify(&Error::BrokenTransactionManager, Duration::ZERO, LIMIT);
        assert_eq!(broken, ErrorClass::Database);
    }

    #[test]
    fn an_error_without_a_code_is_an_events_error_only_if_it_came_before_any_timeout() {
        assert_eq!(class(DatabaseErrorKind::Unknown, LIMIT / 2), ErrorClass::Event);
        assert_eq!(class(DatabaseErrorKind::Unknown, LIMIT), ErrorClass::Lock);
        let error = Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new("deadlock".to_owned()));
        assert_eq!(classify(&error, DEADLOCK_TIMEOUT, DEADLOCK_TIMEOUT * 5), ErrorClass::Lock);
    }
}
