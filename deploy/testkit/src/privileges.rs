//! What roles may do with each object of a schema, as the catalog says and as statements show it.

mod tries;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Result, ensure};
use tokio_postgres::Client;

const PRIVILEGES: &str = include_str!("privileges/privileges.sql");
const STATE: &str = include_str!("privileges/state.sql");

/// The privileges by kind and name of the object. All partitions of the event log have one name.
pub type Privileges = BTreeMap<(String, String), String>;

/// What a role may do in a schema.
pub async fn of_role(superuser: &Client, role: &str, schema: &str) -> Result<Privileges> {
    let mut found = Privileges::new();
    for row in superuser.query(PRIVILEGES, &[&role, &schema]).await? {
        let (kind, name, privileges): (&str, String, &str) = (row.get(0), row.get(1), row.get(2));
        let name = without_day(name);
        let before = found.insert((kind.to_owned(), name.clone()), privileges.to_owned());
        ensure!(before.is_none_or(|before| before == privileges), "{role}: {kind} {name}");
    }
    Ok(found)
}

fn without_day(table: String) -> String {
    let day = table.strip_prefix("event_log_").is_some_and(|day| day.parse::<u32>().is_ok());
    if day { "event_log_<day>".to_owned() } else { table }
}

/// All privileges of the database, settings and memberships of its roles, as one text to compare.
pub async fn state(superuser: &Client) -> Result<String> {
    Ok(superuser.query_one(STATE, &[]).await?.get(0))
}

/// A line for each object. The roles may do with a column what they may do with its table, and what its line says. The
/// last role stands for any other.
pub async fn matrix(superuser: &Client, roles: &[&str], stranger: &str, schema: &str) -> Result<String> {
    let mut columns = Vec::new();
    for role in roles.iter().copied().chain([stranger]) {
        columns.push(of_role(superuser, role, schema).await?);
    }
    let objects: BTreeSet<_> = columns.iter().flat_map(BTreeMap::keys).collect();
    let mut text = format!("object | {} | any other role", roles.join(" | "));
    for object in objects {
        write!(text, "\n{}", format!("{} {}", object.0, object.1).trim_end())?;
        for role in &columns {
            let privileges = role.get(object).filter(|privileges| !privileges.is_empty());
            write!(text, " | {}", privileges.map_or("-", String::as_str))?;
        }
    }
    Ok(text)
}

/// Fails unless the role of `session` can do what the catalog says, and nothing else. Returns how many statements it
/// has tried.
pub async fn check_by_trying(superuser: &Client, session: &Client, schema: &str) -> Result<usize> {
    let role: String = session.query_one("SELECT current_user::text", &[]).await?.get(0);
    let known = of_role(superuser, &role, schema).await?;
    let of = |kind: &str, name: &str| known.get(&(kind.to_owned(), without_day(name.to_owned())));
    let is_in =
        |all: Option<&String>, one: &str| all.is_some_and(|all| all.split(' ').any(|each| each == one));
    let usage = is_in(of("schema", schema), "USAGE");
    let tried = tries::all(superuser, session, schema).await?;
    let number = tried.len();
    for tried in tried {
        let table = tried.table.as_deref().and_then(|table| of("table", table));
        let own = of(tried.kind, &tried.name);
        let has = tried.by.iter().any(|by| is_in(own, by) || is_in(table, by));
        let expected = has && (usage || !tried.is_in_schema);
        ensure!(
            tried.is_allowed == expected,
            "{role} in {schema}, of which the catalog says {has}: {tried:?}"
        );
    }
    Ok(number)
}
