//! Classifies errors by what they say about their session.
//!
//! diesel-async keeps the SQLSTATE of only eight kinds of errors, and the server may translate its messages. So a
//! session counts as intact only after errors that are known to be harmless.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};

/// What an error says about its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionEffect {
    /// The session is fine.
    Intact,
    /// A lock timeout, statement timeout or deadlock, judged by its duration. The session is fine.
    Timeout,
    /// The session may be at fault: outdated plans, or prepared statements that no longer exist.
    Unexplained,
    /// The server of a writer became read-only. Nothing was done.
    ReadOnly,
    /// The session is gone. The statement may have been executed.
    Lost,
}

/// PostgreSQL checks for a deadlock after a second (`deadlock_timeout`).
const DEADLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Classifies `error`, which came after `took`. `min_timeout` is the shortest timeout of the session.
///
/// diesel has no kind for a lock timeout, a statement timeout or a deadlock, but each takes at least as long as its
/// limit. An error that came sooner is none of these.
pub(super) fn classify(error: &Error, took: Duration, min_timeout: Duration) -> SessionEffect {
    use DatabaseErrorKind::{
        CheckViolation, ClosedConnection, ExclusionViolation, ForeignKeyViolation, NotNullViolation,
        ReadOnlyTransaction, RestrictViolation, SerializationFailure, UnableToSendCommand, UniqueViolation,
    };
    match error {
        // Nothing was sent, or everything was received, or the statement itself was refused.
        Error::NotFound
        | Error::QueryBuilderError(_)
        | Error::SerializationError(_)
        | Error::DatabaseError(
            CheckViolation | ExclusionViolation | ForeignKeyViolation | NotNullViolation | RestrictViolation
            | SerializationFailure | UniqueViolation,
            _,
        ) => SessionEffect::Intact,
        Error::DatabaseError(ReadOnlyTransaction, _) => SessionEffect::ReadOnly,
        Error::DatabaseError(ClosedConnection | UnableToSendCommand, _) => SessionEffect::Lost,
        Error::DatabaseError(_, _) if took >= min_timeout.min(DEADLOCK_TIMEOUT) => SessionEffect::Timeout,
        Error::DatabaseError(_, _) => SessionEffect::Unexplained,
        // The outcome is unknown: if a row cannot be decoded, the statement was executed.
        _ => SessionEffect::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    fn classify_kind(kind: DatabaseErrorKind, took: Duration) -> SessionEffect {
        classify(&Error::DatabaseError(kind, Box::new("failed".to_owned())), took, LIMIT)
    }

    #[test]
    fn a_violated_constraint_and_a_lost_race_leave_the_session_intact() {
        for kind in [
            DatabaseErrorKind::UniqueViolation,
            DatabaseErrorKind::CheckViolation,
            DatabaseErrorKind::NotNullViolation,
            DatabaseErrorKind::ForeignKeyViolation,
            DatabaseErrorKind::ExclusionViolation,
            DatabaseErrorKind::RestrictViolation,
            DatabaseErrorKind::SerializationFailure,
        ] {
            assert_eq!(classify_kind(kind, Duration::ZERO), SessionEffect::Intact);
        }
        assert_eq!(classify(&Error::NotFound, Duration::ZERO, LIMIT), SessionEffect::Intact);
    }

    #[test]
    fn an_error_without_a_kind_is_a_timeout_only_if_it_took_as_long_as_one() {
        assert_eq!(classify_kind(DatabaseErrorKind::Unknown, LIMIT / 2), SessionEffect::Unexplained);
        assert_eq!(classify_kind(DatabaseErrorKind::Unknown, LIMIT), SessionEffect::Timeout);
        let error = Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new("deadlock".to_owned()));
        assert_eq!(classify(&error, DEADLOCK_TIMEOUT, DEADLOCK_TIMEOUT * 5), SessionEffect::Timeout);
    }

    #[test]
    fn a_statement_that_may_have_been_executed_is_lost() {
        assert_eq!(
            classify_kind(DatabaseErrorKind::ReadOnlyTransaction, Duration::ZERO),
            SessionEffect::ReadOnly
        );
        assert_eq!(classify_kind(DatabaseErrorKind::ClosedConnection, Duration::ZERO), SessionEffect::Lost);
        assert_eq!(
            classify_kind(DatabaseErrorKind::UnableToSendCommand, Duration::ZERO),
            SessionEffect::Lost
        );
        assert_eq!(
            classify(&Error::DeserializationError("a wrong type".into()), Duration::ZERO, LIMIT),
            SessionEffect::Lost
        );
    }
}
