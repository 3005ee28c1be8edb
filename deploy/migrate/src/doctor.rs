//! Compares a database with what the processes need of it.

mod citus;
mod report;

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{Array, Text};
use diesel::{QueryResult, RunQueryDsl};
use service_kit::database::{ConnectError, DatabaseConfig, PoolError};

use crate::cell::has_history;
use crate::roles::Roles;
use crate::session::{BlockingConnection, Target, current_schema};
use crate::{MIGRATIONS, MigrateError};

pub use self::report::{Finding, Level, Report};

/// What the migrations grant.
const GRANTS: &str = include_str!("doctor/grants.txt");

const SERVER: Check = Check { name: "server", query: include_str!("doctor/server.sql") };
const RIGHTS: Check = Check { name: "rights", query: include_str!("doctor/rights.sql") };

/// Those that need all migrations.
const AFTER_MIGRATIONS: [Check; 6] = [
    Check { name: "roles", query: include_str!("doctor/roles.sql") },
    Check { name: "connections", query: include_str!("doctor/connections.sql") },
    Check { name: "grants", query: include_str!("doctor/grants.sql") },
    Check { name: "elsewhere", query: include_str!("doctor/elsewhere.sql") },
    Check { name: "settings", query: include_str!("doctor/settings.sql") },
    Check { name: "event_log", query: include_str!("doctor/event_log.sql") },
];

/// A query with a row for each finding: its level, the finding, the remedy.
#[derive(Clone, Copy)]
struct Check {
    name: &'static str,
    query: &'static str,
}

/// Checks the database of this URL, and changes nothing. The URL is that of the migrator.
///
/// # Errors
///
/// [`MigrateError`] if it cannot be checked.
pub async fn doctor(database_url: &str) -> Result<Report, MigrateError> {
    check(Target { url: database_url.to_owned(), schema: None }).await
}

pub(crate) async fn check(target: Target) -> Result<Report, MigrateError> {
    service_kit::database::read_url(&target.url)?;
    let url = target.url.clone();
    let in_database = tokio::task::spawn_blocking(move || {
        let mut connection = target.connect()?;
        let schema = current_schema(&mut connection)?;
        let findings = examine(&mut connection).map_err(MigrateError::Examine)?;
        Ok::<_, MigrateError>((schema.to_string(), findings))
    });
    // First: it says why it cannot connect, once. The pool would only log it.
    let (schema, in_database) = in_database.await.map_err(MigrateError::Task)??;
    let mut findings: Vec<_> = pooler(&url).await?.into_iter().chain(in_database).collect();
    // Stable: within a level, in the order of the checks.
    findings.sort_by_key(|finding| finding.level);
    Ok(Report { schema, findings })
}

/// Opens a session as the processes do, which verifies its settings.
async fn pooler(database_url: &str) -> Result<Option<Finding>, MigrateError> {
    let vars = vec![("DATABASE_URL".to_owned(), database_url.to_owned())];
    let database = DatabaseConfig::from_vars(&vars)?.with_pool_size(1).open("migrate")?;
    let finding = match database.session().await {
        Err(PoolError::Backend(
            error @ (ConnectError::TransactionPooling | ConnectError::LostSetting(_)),
        )) => error.to_string(),
        // Whether it can be reached is found out by the checks.
        _ => return Ok(None),
    };
    let remedy = "Use session mode (PgBouncer: pool_mode=session), or connect to PostgreSQL directly.";
    Ok(Some(Finding { check: "pooler", level: Level::Error, finding, remedy: remedy.to_owned() }))
}

fn examine(connection: &mut BlockingConnection) -> QueryResult<Vec<Finding>> {
    connection.batch_execute("SET statement_timeout = '30s'; BEGIN READ ONLY")?;
    let findings = run_all(connection);
    // The server would log a session that ends within a transaction.
    let ended = connection.batch_execute("ROLLBACK");
    let findings = findings?;
    ended.map(|()| findings)
}

fn run_all(connection: &mut BlockingConnection) -> QueryResult<Vec<Finding>> {
    let mut findings = run(connection, SERVER)?;
    let migrations = migrations(connection)?;
    let is_complete = migrations.iter().all(|finding| finding.level != Level::Error);
    findings.extend(migrations);
    findings.extend(rights(connection, &Roles::default())?);
    if is_complete {
        for check in AFTER_MIGRATIONS {
            findings.extend(run(connection, check)?);
        }
        findings.extend(citus::examine(connection)?);
    }
    Ok(findings)
}

/// The rights that stop the migrator: those of the product's roles, and of these.
pub(crate) fn excessive_rights(
    connection: &mut BlockingConnection,
    roles: &Roles,
) -> Result<Report, MigrateError> {
    let schema = current_schema(connection)?.to_string();
    let findings = rights(connection, roles).map_err(MigrateError::Prepare)?;
    Ok(Report { schema, findings }.only_errors())
}

fn rights(connection: &mut BlockingConnection, roles: &Roles) -> QueryResult<Vec<Finding>> {
    let query = diesel::sql_query(RIGHTS.query);
    let query = query.bind::<Array<Text>, _>(&roles.groups).bind::<Array<Text>, _>(&roles.logins);
    Ok(findings(RIGHTS.name, query.load(connection)?))
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    level: String,
    #[diesel(sql_type = Text)]
    finding: String,
    #[diesel(sql_type = Text)]
    remedy: String,
}

fn run(connection: &mut BlockingConnection, Check { name, query }: Check) -> QueryResult<Vec<Finding>> {
    let query = diesel::sql_query(query);
    let rows: Vec<Row> = match name {
        "grants" => query.bind::<Text, _>(GRANTS).load(connection)?,
        _ => query.load(connection)?,
    };
    Ok(findings(name, rows))
}

fn findings(check: &'static str, rows: Vec<Row>) -> Vec<Finding> {
    let findings = rows.into_iter().map(|Row { level, finding, remedy }| {
        let level = match level.as_str() {
            "hint" => Level::Hint,
            "warning" => Level::Warning,
            _ => Level::Error,
        };
        Finding { check, level, finding, remedy }
    });
    findings.collect()
}

/// Pending and unknown migrations. A database without a history is not changed.
fn migrations(connection: &mut BlockingConnection) -> QueryResult<Vec<Finding>> {
    let applied: Vec<String> = if has_history(connection)? {
        let versions = "SELECT version AS level, '' AS finding, '' AS remedy FROM __diesel_schema_migrations";
        let rows: Vec<Row> = diesel::sql_query(versions).load(connection)?;
        rows.into_iter().map(|row| row.level).collect()
    } else {
        Vec::new()
    };
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().unwrap_or_default();
    let versions: Vec<_> = known.iter().map(|migration| migration.name().version().to_string()).collect();
    let pending = known.iter().zip(&versions).filter(|(_, version)| !applied.contains(version));
    let pending: Vec<_> = pending.map(|(migration, _)| migration.name().to_string()).collect();
    let first = pending.first().map(|first| Finding {
        check: "migrations",
        level: Level::Error,
        finding: format!("{} migrations are pending, from {first} on", pending.len()),
        remedy: "migrate up".to_owned(),
    });
    let unknown = applied.iter().filter(|version| !versions.contains(version)).map(|version| Finding {
        check: "migrations",
        level: Level::Warning,
        finding: format!("this build does not know the migration {version}"),
        remedy: "Use the migrate of the build that has applied it.".to_owned(),
    });
    Ok(first.into_iter().chain(unknown).collect())
}
