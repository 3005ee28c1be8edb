//! Removes old attempts.

use diesel::sql_types::BigInt;
use diesel::{OptionalExtension, QueryResult};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

/// How many attempts of an endpoint are kept, and how many are removed at once.
///
/// To find those beyond the limit, all within it have to be read. So that happens once, and again after a number of
/// further attempts: until then there are up to so many more.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    /// The newest ones are kept, this many,
    pub kept_max: i64,
    /// and up to this many more.
    pub counted_every: i64,
    /// Most that one statement removes.
    pub removed_max: i64,
}

/// What was found when the attempts of an endpoint were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedAttempts {
    /// The newest one then. Ids of all endpoints are from one sequence: attempts of others only make the next time
    /// sooner.
    newest: i64,
    /// This one and older ones were too many.
    excess: i64,
}

/// Removes some of the oldest attempts of `endpoint`: those of more than seven days ago, and those that are too many.
/// Returns how many were removed, and what to pass as `counted` the next time.
pub async fn forget_attempts(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    limits: AttemptLimits,
    counted: Option<CountedAttempts>,
) -> QueryResult<(usize, Option<CountedAttempts>)> {
    let newest: Option<i64> =
        RunQueryDsl::get_result(NewestAttempt { endpoint }, connection).await.optional()?;
    let Some(newest) = newest else { return Ok((0, None)) };
    let counted = match counted {
        Some(counted) if newest - counted.newest < limits.counted_every => counted,
        _ => {
            let query = ExcessAttempt { endpoint, kept_max: limits.kept_max };
            let excess: Option<i64> = RunQueryDsl::get_result(query, connection).await.optional()?;
            CountedAttempts { newest, excess: excess.unwrap_or(0) }
        }
    };
    let forget = ForgetAttempts { endpoint, removed_max: limits.removed_max, excess: counted.excess };
    let removed = RunQueryDsl::execute(forget, connection).await?;
    Ok((removed, Some(counted)))
}

statement! {
    struct NewestAttempt = "newest_attempt.sql" -> BigInt {
        endpoint: i64 as BigInt,
    }
}

statement! {
    struct ExcessAttempt = "excess_attempt.sql" -> BigInt {
        endpoint: i64 as BigInt,
        kept_max: i64 as BigInt,
    }
}

statement! {
    struct ForgetAttempts = "forget_attempts.sql" {
        endpoint: i64 as BigInt,
        removed_max: i64 as BigInt,
        excess: i64 as BigInt,
    }
}
