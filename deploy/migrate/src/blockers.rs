//! Who keeps a migration from its locks.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use diesel::sql_types::Text;
use diesel::{QueryResult, QueryableByName, RunQueryDsl};

use crate::session::BlockingConnection;

/// A transaction of a process is over by then.
const LONGER_THAN_A_REQUEST: Duration = Duration::from_secs(1);

/// Transactions of others in this database that hold locks on its tables, in any mode. Tables of other databases may
/// have the same oids. The role of the migrator may not see since when they run.
const HOLDERS: &str = "
    SELECT DISTINCT format('session %s of role %s (%s)', pid, usename, application_name) AS session,
        virtualtransaction AS transaction
    FROM pg_locks JOIN pg_stat_activity USING (pid) JOIN pg_class ON pg_class.oid = relation
    WHERE granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND relnamespace = quote_ident(current_schema())::regnamespace
        -- The migrator itself has a second session, which locks its history.
        AND relname <> '__diesel_schema_migrations' AND pid <> pg_backend_pid()";

#[derive(QueryableByName, PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    #[diesel(sql_type = Text)]
    session: String,
    #[diesel(sql_type = Text)]
    transaction: String,
}

/// The sessions whose transactions last, at most five.
pub(crate) fn find(connection: &mut BlockingConnection) -> QueryResult<Vec<String>> {
    let before = holders(connection)?;
    thread::sleep(LONGER_THAN_A_REQUEST);
    let now = holders(connection)?;
    Ok(now.intersection(&before).map(|holder| holder.session.clone()).take(5).collect())
}

fn holders(connection: &mut BlockingConnection) -> QueryResult<BTreeSet<Holder>> {
    Ok(diesel::sql_query(HOLDERS).load(connection)?.into_iter().collect())
}
