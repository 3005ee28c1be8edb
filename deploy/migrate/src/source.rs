//! Where migrations come from: this build, or a folder with tables of your own.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::migration::{self, Migration, MigrationSource};
use diesel::pg::Pg;
use diesel_migrations::FileBasedMigrations;

use crate::roles::Roles;
use crate::{BlockingConnection, MIGRATIONS, MigrateError, Step, down_of, pending_of, up_of};

/// Most characters of a name in PostgreSQL.
const NAME_MAX: usize = 63;

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
        Ok(Self { schema: schema.parse()?, folder: folder.to_path_buf() })
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

/// A name that needs no quotes.
#[derive(Debug, Clone)]
pub(crate) struct SchemaName(String);

/// The text is not the name of a schema of one's own.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a name for a schema: lower-case letters, digits and _, beginning with a letter; not `public`, and \
     no more than {NAME_MAX} characters"
)]
pub struct SchemaNameError(String);

impl FromStr for SchemaName {
    type Err = SchemaNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(is_in_name)
            && name.len() <= NAME_MAX;
        // The product's schema has a history of its own.
        if is_name && name != "public" && !name.starts_with("pg_") {
            Ok(Self(name.to_owned()))
        } else {
            Err(SchemaNameError(name.to_owned()))
        }
    }
}

/// The migrations of one history.
pub(crate) enum Source {
    /// In this build.
    Product,
    /// Beside it.
    Addition { schema: SchemaName, migrations: FileBasedMigrations, roles: Roles },
}

impl Source {
    /// The roles of processes beside those of the product.
    pub(crate) const fn roles(&self) -> &Roles {
        const NONE: &Roles = &Roles { groups: Vec::new(), logins: Vec::new() };
        match self {
            Self::Product => NONE,
            Self::Addition { roles, .. } => roles,
        }
    }

    /// Makes the session use the schema of the migrations.
    pub(crate) fn enter(&self, connection: &mut BlockingConnection) -> QueryResult<()> {
        let Self::Addition { schema: SchemaName(schema), .. } = self else { return Ok(()) };
        // The name needs no quotes, except as a keyword.
        connection.batch_execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS \"{schema}\";
            SELECT set_config('search_path', '\"{schema}\", ' || current_setting('search_path'), false)"
        ))
    }
}

impl MigrationSource<Pg> for Source {
    fn migrations(&self) -> migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        match self {
            Self::Product => MIGRATIONS.migrations(),
            Self::Addition { migrations, .. } => migrations.migrations(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_name_needs_no_quotes_and_is_not_the_products() {
        let is_accepted = |name: &str| SchemaName::from_str(name).is_ok();
        assert!(["revenue", "r", "revenue_2"].into_iter().all(is_accepted));
        let refused = ["", "public", "pg_catalog", "Revenue", "2", "_r", "a-b", "a\"; DROP", "é"];
        assert!(!refused.into_iter().any(is_accepted));
        assert!(is_accepted(&"a".repeat(63)) && !is_accepted(&"a".repeat(64)));
    }
}
