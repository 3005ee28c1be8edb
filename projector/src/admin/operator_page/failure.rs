//! Why an attempt to act failed, and what the page says of it.

use service_kit::database::{ConnectError, DatabaseError, PoolError};
use service_kit::problem::Problem;

use super::problems::{OUTCOME_UNKNOWN, REFUSED, UNKNOWN, failed};
use crate::subscription::operator::{ChangeError, OperatorError};

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Statement(#[from] DatabaseError),
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// What is known of an attempt that failed.
enum Outcome<'a> {
    /// The action is not possible.
    Refused(&'a OperatorError),
    /// Nothing was done, and nothing will be while the database is as it is.
    ReadOnly,
    MayBeDone,
    NotDone,
}

impl Failure {
    fn outcome(&self) -> Outcome<'_> {
        match self {
            Self::Statement(DatabaseError::Lost(_) | DatabaseError::NoAnswer)
            | Self::Change(ChangeError::NoAnswer(_)) => Outcome::MayBeDone,
            Self::Statement(DatabaseError::Connect(error))
            | Self::Change(ChangeError::NoConnection(error))
                if matches!(error, PoolError::Backend(ConnectError::ReadOnly)) =>
            {
                Outcome::ReadOnly
            }
            Self::Statement(DatabaseError::Statement(error))
            | Self::Change(ChangeError::Refused(OperatorError::Database(error)))
                if is_read_only(error) =>
            {
                Outcome::ReadOnly
            }
            Self::Change(ChangeError::Refused(error)) if !matches!(error, OperatorError::Database(_)) => {
                Outcome::Refused(error)
            }
            Self::Statement(_) | Self::Change(_) => Outcome::NotDone,
        }
    }

    /// Whether it is useless or harmful to try again.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self.outcome(), Outcome::NotDone)
    }
}

fn is_read_only(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    matches!(error, Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _))
}

impl From<Failure> for Problem {
    /// The log has the cause, unless the page has it too.
    fn from(failure: Failure) -> Self {
        let problem = match failure.outcome() {
            Outcome::Refused(OperatorError::Unknown(_)) => return UNKNOWN.with(UNKNOWN.when),
            Outcome::Refused(error) => return REFUSED.with(error.to_string()),
            Outcome::ReadOnly => Self::unavailable("The database is read-only. Nothing was done."),
            Outcome::MayBeDone => OUTCOME_UNKNOWN.with(OUTCOME_UNKNOWN.when),
            Outcome::NotDone => {
                Self::unavailable("The database is busy or not reachable. Nothing was done. Try again.")
            }
        };
        failed(&failure, problem)
    }
}
