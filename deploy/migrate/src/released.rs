//! What released migrations do in a cell.
//!
//! Some name the schema `public`, or change what all cells of a database share. Their texts may not be changed. In
//! another schema than `public`, or beside other cells, the migrator runs them with the changes below.

use diesel::connection::BoxableConnection;
use diesel::migration::{self, Migration, MigrationMetadata, MigrationName};
use diesel::pg::Pg;

use crate::schema_name::SchemaName;

/// The schema in which migrations run, and whether it is the only cell.
pub(crate) struct Surroundings {
    pub(crate) schema: SchemaName,
    /// Whether the database has other cells.
    pub(crate) has_neighbours: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// The schema is not `public`. `{schema}` stands for it.
    InOtherSchema,
    /// The database has other cells.
    BesideCells,
}

struct Text {
    migration: &'static str,
    is_up: bool,
    sql: &'static str,
    /// Each with its replacement.
    changes: &'static [(When, &'static str, &'static str)],
}

macro_rules! text {
    ($name:literal, $file:literal, $changes:expr) => {
        Text {
            migration: $name,
            is_up: matches!($file.as_bytes(), b"up.sql"),
            sql: include_str!(concat!("../../../migrations/", $name, "/", $file)),
            changes: $changes,
        }
    };
}

const OWN_SCHEMA: (When, &str, &str) = (When::InOtherSchema, "SCHEMA public", "SCHEMA {schema}");
const OWN_TABLES: (When, &str, &str) = (When::InOtherSchema, "public.", "{schema}.");

const TEXTS: [Text; 8] = [
    text!("2026-11-23-000100_create_roles", "up.sql", &[OWN_SCHEMA]),
    text!("2026-11-23-000100_create_roles", "down.sql", &[OWN_SCHEMA]),
    text!("2026-11-26-001000_log_events", "up.sql", &[OWN_TABLES]),
    text!("2026-11-27-000300_let_the_event_log_depend_on_no_session", "down.sql", &[OWN_TABLES]),
    // The users of another cell keep what they have: nothing is taken from them.
    text!(
        "2026-11-27-000200_revoke_from_public",
        "up.sql",
        &[(
            When::BesideCells,
            "AND rolname !~ '^pg_'",
            "AND rolname !~ '^pg_' AND has_database_privilege('public', current_database(), 'CONNECT')"
        )]
    ),
    // The ways back leave what the processes of the other cells need, and keep the database closed to others.
    text!(
        "2026-11-27-000100_grant_to_group_roles",
        "down.sql",
        &[(
            When::BesideCells,
            "EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM %I', current_database(), login);",
            "NULL;"
        )]
    ),
    text!(
        "2026-11-27-000200_revoke_from_public",
        "down.sql",
        &[
            (
                When::BesideCells,
                "EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO PUBLIC', current_database());",
                "NULL;"
            ),
            (When::BesideCells, "GRANT USAGE ON SCHEMA public TO PUBLIC;", "")
        ]
    ),
    text!(
        "2026-11-28-000100_let_a_scaler_see_the_oldest_event",
        "down.sql",
        &[(
            When::BesideCells,
            "EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM orders_scaler, orders_scaler_b', current_database());",
            "NULL;"
        )]
    ),
];

impl Surroundings {
    /// The migration as it runs here.
    pub(crate) fn adapt(&self, migration: Box<dyn Migration<Pg>>) -> Box<dyn Migration<Pg>> {
        let name = migration.name().to_string();
        let (up, down) = (self.text(&name, true), self.text(&name, false));
        if up.is_none() && down.is_none() { migration } else { Box::new(Adapted { migration, up, down }) }
    }

    /// None: as it was released.
    fn text(&self, name: &str, is_up: bool) -> Option<String> {
        let text = TEXTS.iter().find(|text| text.migration == name && text.is_up == is_up)?;
        let applies = |when| match when {
            // A schema with another name was renamed, later than these migrations are applied.
            When::InOtherSchema => self.schema.as_str() != "public" && self.schema.is_plain(),
            When::BesideCells => self.has_neighbours,
        };
        let sql = text
            .changes
            .iter()
            .filter(|(when, ..)| applies(*when))
            .fold(text.sql.to_owned(), |sql, (_, from, to)| {
                sql.replace(from, &to.replace("{schema}", &self.schema.quoted()))
            });
        (sql != text.sql).then_some(sql)
    }
}

struct Adapted {
    migration: Box<dyn Migration<Pg>>,
    up: Option<String>,
    down: Option<String>,
}

impl Migration<Pg> for Adapted {
    fn run(&self, connection: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        match &self.up {
            Some(sql) => Ok(connection.batch_execute(sql)?),
            None => self.migration.run(connection),
        }
    }

    fn revert(&self, connection: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        match &self.down {
            Some(sql) => Ok(connection.batch_execute(sql)?),
            None => self.migration.revert(connection),
        }
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self.migration.metadata()
    }

    fn name(&self) -> &dyn MigrationName {
        self.migration.name()
    }
}

#[cfg(test)]
mod tests {
    use diesel::migration::MigrationSource;

    use super::*;
    use crate::MIGRATIONS;

    fn surroundings(schema: &str, has_neighbours: bool) -> Surroundings {
        Surroundings { schema: SchemaName::existing(schema.to_owned()), has_neighbours }
    }

    #[test]
    fn each_change_is_of_a_migration_that_has_its_text() {
        let migrations: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().unwrap();
        let names: Vec<_> = migrations.iter().map(|migration| migration.name().to_string()).collect();
        for text in &TEXTS {
            assert!(names.iter().any(|name| name == text.migration), "{}", text.migration);
            for (_, from, _) in text.changes {
                assert!(text.sql.contains(from), "{}: {from}", text.migration);
            }
        }
    }

    #[test]
    fn in_public_without_other_cells_all_are_as_they_were_released() {
        for alone in [surroundings("public", false), surroundings("Or'ders", false)] {
            assert!(TEXTS.iter().all(|text| alone.text(text.migration, text.is_up).is_none()));
        }
    }

    /// Without comments.
    fn statements(sql: &str) -> String {
        sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n")
    }

    /// So that no later migration breaks cells: it names no schema, and its way back takes nothing from other cells.
    #[test]
    fn no_other_migration_names_public_or_changes_the_rights_on_the_database_on_its_way_back() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            for (file, is_up) in [("up.sql", true), ("down.sql", false)] {
                let Ok(sql) = std::fs::read_to_string(path.join(file)) else { continue };
                let sql = surroundings("cell", true).text(&name, is_up).unwrap_or(sql);
                let sql = statements(&sql);
                assert!(!sql.contains("public."), "{name}/{file}");
                // This one closes `public` to others, in whichever schema the tables are.
                let closes_public = (name.as_str(), is_up) == ("2026-11-27-000200_revoke_from_public", true);
                assert!(closes_public || !sql.contains("SCHEMA public"), "{name}/{file}");
                assert!(is_up || !sql.contains("ON DATABASE"), "{name}/{file}");
            }
        }
    }
}
