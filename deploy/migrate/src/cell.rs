//! Cells: each is one full set of the product's tables, in a schema of its own.

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel::{QueryResult, RunQueryDsl};

use crate::released::Surroundings;
use crate::schema_name::{SchemaName, SchemaNameError};
use crate::session::{BlockingConnection, Target, current_schema, is_set_by_url};
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

    /// All cells of the database, by name: the schemas that have the outbox, and the first migration of this build in
    /// their history.
    ///
    /// # Errors
    ///
    /// [`MigrateError`], also if there are more than 4096, or if one belongs to another role.
    pub async fn all(database_url: &str) -> Result<Vec<Self>, MigrateError> {
        service_kit::database::read_url(database_url)?;
        let target = Target { url: database_url.to_owned(), schema: None };
        let found = tokio::task::spawn_blocking(move || {
            let mut connection = target.connect()?;
            if is_set_by_url(&mut connection).map_err(MigrateError::Prepare)? {
                return Err(MigrateError::TwoSchemas);
            }
            let likely = likely_cells(&mut connection).map_err(MigrateError::Prepare)?;
            if let Some(LikelyCell { schema, owner, .. }) = likely.iter().find(|cell| !cell.is_own) {
                return Err(MigrateError::ForeignCell { schema: schema.clone(), owner: owner.clone() });
            }
            cells_of(&mut connection, likely).map_err(MigrateError::Prepare)
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

impl Surroundings {
    /// The schema of this session and what is beside it.
    pub(crate) fn find(connection: &mut BlockingConnection) -> Result<Self, MigrateError> {
        let schema = current_schema(connection)?;
        let mut likely = likely_cells(connection).map_err(MigrateError::Prepare)?;
        likely.retain(|cell| cell.schema != schema.as_str());
        let is_foreign = likely.iter().any(|cell| !cell.is_own);
        let neighbours = cells_of(connection, likely).map_err(MigrateError::Prepare)?;
        Ok(Self { schema, has_neighbours: is_foreign || !neighbours.is_empty() })
    }
}

/// Whose migrations are in the history of the current schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Nobody,
    Product,
    Others,
}

/// Whether the current schema has one.
pub(crate) fn has_history(connection: &mut BlockingConnection) -> QueryResult<bool> {
    let exists = "to_regclass(quote_ident(current_schema()) || '.__diesel_schema_migrations') IS NOT NULL";
    diesel::select(diesel::dsl::sql::<Bool>(exists)).get_result(connection)
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

/// A schema with the tables of a cell, by name.
#[derive(diesel::QueryableByName)]
struct LikelyCell {
    #[diesel(sql_type = Text)]
    schema: String,
    #[diesel(sql_type = Text)]
    owner: String,
    /// Whether its history may be read. Row security of another owner would run that role's functions with the rights
    /// of the migrator.
    #[diesel(sql_type = Bool)]
    is_own: bool,
}

fn likely_cells(connection: &mut BlockingConnection) -> QueryResult<Vec<LikelyCell>> {
    diesel::sql_query(include_str!("likely_cells.sql")).load(connection)
}

/// Those of its own that have the first migration of the product: others are of other programs.
fn cells_of(connection: &mut BlockingConnection, likely: Vec<LikelyCell>) -> QueryResult<Vec<SchemaName>> {
    let mut cells = Vec::new();
    for LikelyCell { schema, .. } in likely.into_iter().filter(|cell| cell.is_own) {
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

/// The version of the oldest migration. No other program has it.
fn first_version() -> String {
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().unwrap_or_default();
    known.iter().map(|migration| migration.name().version().to_string()).min().unwrap_or_default()
}
