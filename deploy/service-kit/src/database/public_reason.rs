//! Failures in words that a probe may show: none of PostgreSQL's, which could name what is in the database.

use std::error::Error;

use deadpool::managed::TimeoutType;
use tokio_postgres::error::SqlState;

use super::{ConnectError, PoolError};

/// Why the database could not be used, in one sentence without secrets.
#[must_use]
pub fn public_reason(error: &(dyn Error + 'static)) -> &'static str {
    let mut causes = std::iter::successors(Some(error), |error| <dyn Error>::source(*error));
    causes.find_map(known_cause).unwrap_or("PostgreSQL refused a statement; the log says which.")
}

fn known_cause(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(PoolError::Timeout(TimeoutType::Wait)) = cause.downcast_ref() {
        return Some("All connections of the pool are busy.");
    }
    match cause.downcast_ref()? {
        ConnectError::Open(error) | ConnectError::SetUp(error) => Some(refusal(error.code())),
        ConnectError::Tls(_) | ConnectError::TlsFile(_) => Some("There is no connection with TLS."),
        ConnectError::NoAnswer(_) => Some("PostgreSQL does not reply."),
        ConnectError::ReadOnly => Some("PostgreSQL is read-only."),
        ConnectError::WrongNode(_) => Some("Another node of Citus owns the schema; the log says which."),
        _ => Some("There is no connection; the log says why."),
    }
}

/// Without a code, PostgreSQL has said nothing.
fn refusal(code: Option<&SqlState>) -> &'static str {
    match code {
        None => "PostgreSQL cannot be reached.",
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => {
            "PostgreSQL has no connection left for this role, for this database or for anyone."
        }
        Some(code)
            if [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code) =>
        {
            "PostgreSQL refuses the role or its password."
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => "The database does not exist.",
        Some(code) if *code == SqlState::CANNOT_CONNECT_NOW => "PostgreSQL is starting or stopping.",
        Some(_) => "PostgreSQL refuses the connection; the log says why.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::DatabaseError;

    #[test]
    fn each_cause_is_found_below_other_errors() {
        let of = |error: PoolError| public_reason(&DatabaseError::Connect(error));
        assert_eq!(of(PoolError::Timeout(TimeoutType::Wait)), "All connections of the pool are busy.");
        assert_eq!(of(PoolError::Backend(ConnectError::ReadOnly)), "PostgreSQL is read-only.");
        let statement = DatabaseError::Statement(diesel::result::Error::NotFound);
        assert_eq!(public_reason(&statement), "PostgreSQL refused a statement; the log says which.");
    }

    #[test]
    fn codes_of_postgresql_have_a_sentence_each() {
        let sentences = [
            (SqlState::TOO_MANY_CONNECTIONS, "no connection left"),
            (SqlState::INVALID_PASSWORD, "password"),
            (SqlState::INVALID_AUTHORIZATION_SPECIFICATION, "role"),
            (SqlState::INVALID_CATALOG_NAME, "does not exist"),
            (SqlState::CANNOT_CONNECT_NOW, "starting"),
            (SqlState::INSUFFICIENT_PRIVILEGE, "refuses the connection"),
        ];
        for (code, expected) in sentences {
            assert!(refusal(Some(&code)).contains(expected), "{code:?}");
        }
        assert_eq!(refusal(None), "PostgreSQL cannot be reached.");
    }
}
