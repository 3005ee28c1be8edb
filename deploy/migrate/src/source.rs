//! Where migrations come from: this build, or a folder with tables of your own.

use std::path::{Path, PathBuf};

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::migration::{self, Migration, MigrationConnection, MigrationSource};
use diesel::pg::Pg;
use diesel_migrations::FileBasedMigrations;

use crate::cell::{Owner, owner_of_history};
use crate::released::Surroundings;
use crate::roles::Roles;
use crate::schema_name::{SchemaName, SchemaNameError};
use crate::session::{BlockingConnection, Target, create_schema};
use crate::{MIGRATIONS, MigrateError, Step, down_of, pending_of, up_of};

/// Migrations of your own, beside those of the product: a folder, and a schema of the same database.
///
/// The schema is created if it does not exist. It has its own history of migrations, and unqualified names mean it
/// first, and then the schema of the product.
///
/// A file `roles.txt` in the folder names the roles of the processes that use its tables: a line has a group role and
/// the roles that log in. [`Addition::up`] stops if one of them has more rights than its process may have.
#[derive(Debug, Clone)]
pub struct Addition {
    schema: SchemaName,
    folder: PathBuf,
}

impl Addition {
    /// The migrations in `folder`, applied in `schema`.
    ///
    /// # Errors
    ///
    /// [`SchemaNameError`] if that is no name of a schema.
    pub fn new(schema: &str, folder: &Path) -> Result<Self, SchemaNameError> {
        Ok(Self { schema: SchemaName::of_addition(schema)?, folder: folder.to_path_buf() })
    }

    /// Applies all pending migrations, as [`crate::up`].
    pub async fn up(&self, database_url: &str) -> Result<Vec<Step>, MigrateError> {
        up_of(self.source()?, database_url).await
    }

    /// Reverts the newest migrations, as [`crate::down`].
    pub async fn down(&self, database_url: &str, steps: usize) -> Result<Vec<Step>, MigrateError> {
        down_of(self.source()?, database_url, steps).await
    }

    /// Names of the pending migrations, as [`crate::pending`].
    pub async fn pending(&self, database_url: &str) -> Result<Vec<String>, MigrateError> {
        pending_of(self.source()?, database_url).await
    }

    fn source(&self) -> Result<Source, MigrateError> {
        let migrations = FileBasedMigrations::from_path(&self.folder)
            .map_err(|source| MigrateError::Folder { folder: self.folder.clone(), source: source.into() })?;
        let roles = Roles::read(&self.folder)
            .map_err(|source| MigrateError::Folder { folder: self.folder.clone(), source: source.into() })?;
        Ok(Source::Addition { schema: self.schema.clone(), migrations, roles })
    }
}

/// The migrations of one history.
pub(crate) enum Source {
    /// In this build, for the schema that `DATABASE_URL` leads to, or for this one.
    Product(Option<SchemaName>),
    /// Beside it.
    Addition { schema: SchemaName, migrations: FileBasedMigrations, roles: Roles },
}

impl Source {
    /// The roles of processes beside those of the product.
    pub(crate) const fn roles(&self) -> &Roles {
        const NONE: &Roles = &Roles { groups: Vec::new(), logins: Vec::new() };
        match self {
            Self::Product(_) => NONE,
            Self::Addition { roles, .. } => roles,
        }
    }

    /// The sessions. Those for migrations beside the product begin in its schema.
    pub(crate) fn target(&self, url: &str) -> Target {
        let schema = match self {
            Self::Product(schema) => schema.clone(),
            Self::Addition { .. } => None,
        };
        Target { url: url.to_owned(), schema }
    }

    /// Makes the session use the schema of the migrations, and refuses one that has others.
    pub(crate) fn enter(&self, connection: &mut BlockingConnection) -> Result<(), MigrateError> {
        let own = match self {
            Self::Product(_) => Owner::Product,
            Self::Addition { schema, .. } => {
                enter_beside(connection, schema).map_err(MigrateError::Prepare)?;
                Owner::Others
            }
        };
        let owner = owner_of_history(connection).map_err(MigrateError::Prepare)?;
        if owner == Owner::Nobody || owner == own { Ok(()) } else { Err(MigrateError::OtherHistory) }
    }

    /// The migrations as they run here.
    pub(crate) fn adapt(
        &self,
        connection: &mut BlockingConnection,
        migrations: Vec<Box<dyn Migration<Pg>>>,
    ) -> Result<Vec<Box<dyn Migration<Pg>>>, MigrateError> {
        match self {
            Self::Product(_) => {
                let surroundings = Surroundings::find(connection)?;
                Ok(migrations.into_iter().map(|migration| surroundings.adapt(migration)).collect())
            }
            Self::Addition { .. } => Ok(migrations),
        }
    }
}

/// Unqualified names then mean this schema first, and then that of the product.
fn enter_beside(connection: &mut BlockingConnection, schema: &SchemaName) -> QueryResult<()> {
    create_schema(connection, schema)?;
    connection.batch_execute(&format!(
        "SELECT set_config('search_path', '{}, ' || current_setting('search_path'), false)",
        schema.quoted()
    ))?;
    connection.setup().map(drop)
}

impl MigrationSource<Pg> for &Source {
    fn migrations(&self) -> migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        match self {
            Source::Product(_) => MIGRATIONS.migrations(),
            Source::Addition { migrations, .. } => migrations.migrations(),
        }
    }
}
