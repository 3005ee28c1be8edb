//! What an error says about the session it came from.
//!
//! diesel-async keeps the SQLSTATE of eight kinds of errors only, and the server translates its messages. So a session counts
//! as intact after errors that are known to be harmless, and after no others.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};

/// What becomes of a session after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The error says nothing about the session.
    Intact,
    /// A lock or statement timeout, or a deadlock, by the time it took. These leave the session intact.
    Timeout,
    /// The session may be at fault: plans that no longer fit the schema, prepared statements that are gone.
    Unexplained,
    /// The server of a writer has become read-only. Nothing was done.
    ReadOnly,
    /// The session is gone. The statement may have been executed.
    Lost,
}

/// PostgreSQL looks for a deadlock after a second (`deadlock_timeout`).
const DEADLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The verdict on `error`, which came after `took` on a session in which no wait ends before `shortest_timeout`.
///
/// A lock timeout, a statement timeout and a deadlock have no kind of their own, but they all take as long as their limit. An
/// error that came sooner is none of these.
pub(super) fn of(error: &Error, took: Duration, shortest_timeout: Duration) -> Verdict {
    use DatabaseErrorKind::{
        CheckViolation, ClosedConnection, ExclusionViolation, ForeignKeyViolation, NotNullViolation,
        ReadOnlyTransaction, RestrictViolation, SerializationFailure, UnableToSendCommand, UniqueViolation,
    };
    match error {
        // Nothing was sent, everything was received, or the statement was refused for what it says.
        Error::NotFound
        | Error::QueryBuilderError(_)
        | Error::SerializationError(_)
        | Error::DatabaseError(
            CheckViolation | ExclusionViolation | ForeignKeyViolation | NotNullViolation | RestrictViolation
            | SerializationFailure | UniqueViolation,
            _,
        ) => Verdict::Intact,
        Error::DatabaseError(ReadOnlyTransaction, _) => Verdict::ReadOnly,
        Error::DatabaseError(ClosedConnection | UnableToSendCommand, _) => Verdict::Lost,
        Error::DatabaseError(_, _) if took >= shortest_timeout.min(DEADLOCK_TIMEOUT) => Verdict::Timeout,
        Error::DatabaseError(_, _) => Verdict::Unexplained,
        // What the statement did is not known: a row that cannot be decoded comes from a statement that was executed.
        _ => Verdict::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    fn of_kind(kind: DatabaseErrorKind, took: Duration) -> Verdict {
        of(&Error::DatabaseError(kind, Box::new("said so".to_owned())), took, LIMIT)
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
            assert_eq!(of_kind(kind, Duration::ZERO), Verdict::Intact);
        }
        assert_eq!(of(&Error::NotFound, Duration::ZERO, LIMIT), Verdict::Intact);
    }

    #[test]
    fn an_error_without_a_kind_is_a_timeout_only_if_it_took_as_long_as_one() {
        assert_eq!(of_kind(DatabaseErrorKind::Unknown, LIMIT / 2), Verdict::Unexplained);
        assert_eq!(of_kind(DatabaseErrorKind::Unknown, LIMIT), Verdict::Timeout);
        let error = Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new("deadlock".to_owned()));
        assert_eq!(of(&error, DEADLOCK_TIMEOUT, DEADLOCK_TIMEOUT * 5), Verdict::Timeout);
    }

    #[test]
    fn what_may_have_been_executed_is_told_from_what_was_not() {
        assert_eq!(of_kind(DatabaseErrorKind::ReadOnlyTransaction, Duration::ZERO), Verdict::ReadOnly);
        assert_eq!(of_kind(DatabaseErrorKind::ClosedConnection, Duration::ZERO), Verdict::Lost);
        assert_eq!(of_kind(DatabaseErrorKind::UnableToSendCommand, Duration::ZERO), Verdict::Lost);
        assert_eq!(
            of(&Error::DeserializationError("a wrong type".into()), Duration::ZERO, LIMIT),
            Verdict::Lost
        );
    }
}
