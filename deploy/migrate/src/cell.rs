//! Cells: each is one full set of the product's tables, in a schema of its own.

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel::{QueryResult, RunQueryDsl};

use crate::released::Place;
use crate::schema_name::{SchemaName, SchemaNameError};
use crate::session::{BlockingConnection, Target, current_schema};
use crate::source::Source;
use crate::{MIGRATIONS, MigrateError, Report, Step, doctor, down_of, pending_of, up_of};

/// Most cells of a database: as many as there are buckets of customers.
const CELLS_MAX: usize = 4_096;

/// A schema with the tables of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    schema: SchemaName,
}

impl Cell {
    /// The cell in this schema, which [`Cell::up`] creates if it does not exist.
    ///
    /// # Errors
    ///
    /// [`SchemaNameError`] if that is no name of a schema.
    pub fn new(schema: &str) -> Result<Self, SchemaNameError> {
        Ok(Self { schema: SchemaName::of_cell(schema)? })
    }

    #[must_use]
    pub fn schema(&self) -> &str {
        self.schema.as_str()
    }

    /// All cells of the database, by name: the schemas whose history has the first migration of this build.
    ///
    /// # Errors
    ///
    /// [`MigrateError`], also if there are more than 4096, or if the role may not read a history of migrations.
    pub async fn all(database_url: &str) -> Result<Vec<Self>, MigrateError> {
        service_kit::database::read_url(database_url)?;
        let target = Target { url: database_url.to_owned(), schema: None };
        let found = tokio::task::spawn_blocking(move || {
            let mut connection = target.connect()?;
            let histories = histories(&mut connection).map_err(MigrateError::Prepare)?;
            if let Some(unreadable) = histories.iter().find(|history| !history.is_readable) {
                return Err(MigrateError::UnreadableHistory(unreadable.schema.clone()));
            }
            cells_of(&mut connection, histories).map_err(MigrateError::Prepare)
        });
        let schemas = found.await.map_err(MigrateError::Task)??;
        if schemas.len() > CELLS_MAX {
            return Err(MigrateError::TooManyCells(schemas.len()));
        }
        Ok(schemas.into_iter().map(|schema| Self { schema }).collect())
    }

    /// Makes the schema if it does not exist, and applies all pending migrations in it, as [`crate::up`].
    pub async fn up(&self, database_url: &str) -> Result<Vec<Step>, MigrateError> {
        up_of(Source::Product(Some(self.schema.clone())), database_url).await
    }

    /// Reverts its newest migrations, as [`crate::down`].
    pub async fn down(&self, database_url: &str, steps: usize) -> Result<Vec<Step>, MigrateError> {
        down_of(Source::Product(Some(self.schema.clone())), database_url, steps).await
    }

    /// Names of its pending migrations, as [`crate::pending`].
    pub async fn pending(&self, database_url: &str) -> Result<Vec<String>, MigrateError> {
        pending_of(Source::Product(Some(self.schema.clone())), database_url).await
    }

    /// Checks it, as [`crate::doctor()`].
    pub async fn doctor(&self, database_url: &str) -> Result<Report, MigrateError> {
        doctor::check(Target { url: database_url.to_owned(), schema: Some(self.schema.clone()) }).await
    }
}

impl Place {
    /// The schema of this session and what is beside it.
    pub(crate) fn find(connection: &mut BlockingConnection) -> Result<Self, MigrateError> {
        let schema = current_schema(connection)?;
        let mut histories = histories(connection).map_err(MigrateError::Prepare)?;
        histories.retain(|history| history.is_readable && history.schema != schema.as_str());
        let neighbours = cells_of(connection, histories).map_err(MigrateError::Prepare)?;
        Ok(Self { schema, has_neighbours: !neighbours.is_empty() })
    }
}

/// Whose migrations are in the history of the current schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Nobody,
    Product,
    Others,
}

/// `__diesel_schema_migrations` must exist.
pub(crate) fn owner_of_history(connection: &mut BlockingConnection) -> QueryResult<Owner> {
    let versions =
        diesel::sql_query("SELECT version FROM __diesel_schema_migrations ORDER BY version LIMIT 1");
    let oldest: Vec<Version> = versions.load(connection)?;
    Ok(match oldest.first() {
        None => Owner::Nobody,
        Some(oldest) if oldest.version == first_version() => Owner::Product,
        Some(_) => Owner::Others,
    })
}

#[derive(diesel::QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// A table with a history of migrations.
#[derive(diesel::QueryableByName)]
struct History {
    #[diesel(sql_type = Text)]
    schema: String,
    #[diesel(sql_type = Bool)]
    is_readable: bool,
}

fn histories(connection: &mut BlockingConnection) -> QueryResult<Vec<History>> {
    let histories = diesel::sql_query(
        "SELECT nspname::text AS schema,
            has_schema_privilege(pg_namespace.oid, 'USAGE') AND has_table_privilege(pg_class.oid, 'SELECT')
                AS is_readable
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE relname = '__diesel_schema_migrations' AND relkind = 'r'
         ORDER BY nspname",
    );
    histories.load(connection)
}

/// Those that have the first migration of the product: others are of migrations beside it, or of other programs.
fn cells_of(connection: &mut BlockingConnection, histories: Vec<History>) -> QueryResult<Vec<SchemaName>> {
    let mut cells = Vec::new();
    for History { schema, .. } in histories {
        let schema = SchemaName::existing(schema);
        let versions = format!(
            "SELECT version FROM {}.__diesel_schema_migrations WHERE version = '{}'",
            schema.quoted(),
            first_version()
        );
        let found: Vec<Version> = diesel::sql_query(versions).load(connection)?;
        if !found.is_empty() {
            cells.push(schema);
        }
    }
    Ok(cells)
}

/// Of the oldest migration, which nothing else has.
fn first_version() -> String {
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().unwrap_or_default();
    known.iter().map(|migration| migration.name().version().to_string()).min().unwrap_or_default()
}
