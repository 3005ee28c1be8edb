//! The migrator's sessions.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Bool, Nullable, Text};
use diesel::{QueryResult, RunQueryDsl};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use tokio::runtime::Handle;

use crate::MigrateError;
use crate::schema_name::SchemaName;

pub(crate) type BlockingConnection = AsyncConnectionWrapper<AsyncPgConnection>;

/// Where the tables are.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    /// The schema, if the URL does not name it.
    pub(crate) schema: Option<SchemaName>,
}

impl Target {
    /// Opens a session, on a thread of its own: it blocks. Unqualified names mean the schema.
    pub(crate) fn connect(&self) -> Result<BlockingConnection, MigrateError> {
        let connection = Handle::current().block_on(async {
            let (client, wire) = service_kit::database::connect(&self.url).await?;
            let connection = AsyncPgConnection::try_from_client_and_connection(client, wire).await;
            connection.map_err(MigrateError::Use)
        })?;
        let mut connection = BlockingConnection::from(connection);
        connection
            .batch_execute("SET application_name = 'migrate'; SET client_min_messages = warning")
            .map_err(MigrateError::Prepare)?;
        if let Some(schema) = &self.schema {
            if is_set_by_url(&mut connection).map_err(MigrateError::Prepare)? {
                return Err(MigrateError::TwoSchemas);
            }
            let path = format!("SET search_path = {}", schema.quoted());
            connection.batch_execute(&path).map_err(MigrateError::Prepare)?;
        }
        Ok(connection)
    }

    /// The same, and makes the schema if it does not exist.
    pub(crate) fn connect_and_create(&self) -> Result<BlockingConnection, MigrateError> {
        let mut connection = self.connect()?;
        if let Some(schema) = &self.schema {
            create_schema(&mut connection, schema)
                .map_err(|source| MigrateError::CreateSchema { schema: schema.to_string(), source })?;
        }
        Ok(connection)
    }
}

/// Makes the schema if it does not exist. Otherwise the role needs no right to make one.
pub(crate) fn create_schema(connection: &mut BlockingConnection, schema: &SchemaName) -> QueryResult<()> {
    let exists =
        diesel::dsl::sql::<Bool>("to_regnamespace(").bind::<Text, _>(schema.quoted()).sql(") IS NOT NULL");
    if diesel::select(exists).get_result(connection)? {
        return Ok(());
    }
    let create = format!("CREATE SCHEMA IF NOT EXISTS {}", schema.quoted());
    let created = connection.batch_execute(&create);
    // Two migrators that create it at the same time: the second attempt finds it.
    created.or_else(|_| connection.batch_execute(&create))
}

/// Whether `options` of the URL have a `search_path`.
pub(crate) fn is_set_by_url(connection: &mut BlockingConnection) -> QueryResult<bool> {
    let source = "(SELECT source = 'client' FROM pg_settings WHERE name = 'search_path')";
    diesel::select(diesel::dsl::sql::<Bool>(source)).get_result(connection)
}

/// The schema of the tables: the one that `search_path` names first. Where that one is missing, PostgreSQL would take
/// the next, which may be another cell.
pub(crate) fn current_schema(connection: &mut BlockingConnection) -> Result<SchemaName, MigrateError> {
    let schemas: Schemas =
        diesel::sql_query(SCHEMAS).get_result(connection).map_err(MigrateError::Prepare)?;
    match schemas {
        Schemas { current: Some(current), missing: None } => Ok(SchemaName::existing(current)),
        Schemas { missing: Some(first), .. } => Err(MigrateError::NoSchema(first)),
        Schemas { current: None, missing: None } => Err(MigrateError::EmptySearchPath),
    }
}

const SCHEMAS: &str = include_str!("schemas.sql");

#[derive(diesel::QueryableByName)]
struct Schemas {
    #[diesel(sql_type = Nullable<Text>)]
    current: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    missing: Option<String>,
}

pub(crate) fn wait_for_locks(connection: &mut BlockingConnection, limit: Duration) -> QueryResult<()> {
    connection.batch_execute(&format!("SET lock_timeout = {}", limit.as_millis()))
}
