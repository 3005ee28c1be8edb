//! What each role may do with each object, as the catalog says and as statements show it.

#[path = "../owned/mod.rs"]
mod owned;
mod tries;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use testkit::golden::Golden;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use self::owned::Owned;

const PRIVILEGES: &str = include_str!("privileges.sql");
const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));
const ROLES: [&str; 3] = ["orders_write_api", "orders_projector", "orders_read_api"];

/// A role of the server that has nothing to do with the orders.
const STRANGER: &str = "stranger";

/// The privileges by kind and name of the object. All partitions of the event log have one name.
type Privileges = BTreeMap<(String, String), String>;

async fn privileges(session: &Client, role: &str) -> Result<Privileges> {
    let mut found = Privileges::new();
    for row in session.query(PRIVILEGES, &[&role]).await? {
        let (kind, name, privileges): (&str, String, &str) = (row.get(0), row.get(1), row.get(2));
        let name = without_day(name);
        let before = found.insert((kind.to_owned(), name.clone()), privileges.to_owned());
        assert!(before.is_none_or(|before| before == privileges), "{role}: {kind} {name}");
    }
    Ok(found)
}

fn without_day(table: String) -> String {
    let day = table.strip_prefix("event_log_").is_some_and(|day| day.parse::<u32>().is_ok());
    if day { "event_log_<day>".to_owned() } else { table }
}

/// A line for each object. The roles may do with a column what they may do with its table, and what its line says.
async fn matrix(session: &Client) -> Result<String> {
    let mut roles = Vec::new();
    for role in ROLES.into_iter().chain([STRANGER]) {
        roles.push(privileges(session, role).await?);
    }
    let objects: std::collections::BTreeSet<_> = roles.iter().flat_map(BTreeMap::keys).collect();
    let mut text = format!("object | {} | any other role", ROLES.join(" | "));
    for object in objects {
        write!(text, "\n{}", format!("{} {}", object.0, object.1).trim_end())?;
        for role in &roles {
            let privileges = role.get(object).filter(|privileges| !privileges.is_empty());
            write!(text, " | {}", privileges.map_or("-", String::as_str))?;
        }
    }
    Ok(text)
}

/// Each role can do what the catalog says, and nothing else.
async fn check_by_trying(owned: &Owned) -> Result<()> {
    for role in ROLES {
        let known = privileges(&owned.superuser, role).await?;
        let session = owned.connect_as(role).await?;
        let tried = tries::all(&owned.superuser, &session).await?;
        assert!(tried.len() > 400, "{role}: {}", tried.len());
        for tried in tried {
            let of = |kind: &str, name: &str| known.get(&(kind.to_owned(), without_day(name.to_owned())));
            let table = tried.table.as_deref().and_then(|table| of("table", table));
            let own = of(tried.kind, &tried.name);
            let expected = [own, table].into_iter().flatten();
            let expected = expected.flat_map(|all| all.split(' ')).any(|one| tried.by.contains(&one));
            assert_eq!(tried.is_allowed, expected, "{role}: {tried:?}");
        }
    }
    let refused = owned.connect_as(STRANGER).await.err().and_then(|error| error.downcast().ok());
    let refused = refused.and_then(|error: tokio_postgres::Error| error.code().cloned());
    assert_eq!(refused, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{STRANGER} can connect");
    Ok(())
}

async fn check_that_the_second_role_is_like_the_first(session: &Client) -> Result<()> {
    for role in ROLES {
        assert_eq!(
            privileges(session, role).await?,
            privileges(session, &format!("{role}_b")).await?,
            "{role}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn each_role_may_do_what_its_process_needs_and_nothing_else() -> Result<()> {
    let owned = Owned::create().await?;
    owned.superuser.batch_execute(&format!("CREATE ROLE {STRANGER} LOGIN")).await?;
    migrate::up(&owned.url()).await?;
    GOLDEN.compare("privileges.txt", &matrix(&owned.superuser).await?)?;
    check_that_the_second_role_is_like_the_first(&owned.superuser).await?;
    check_by_trying(&owned).await?;

    owned.superuser.batch_execute(include_str!("../../superuser.sql")).await?;
    GOLDEN.compare("privileges_after_superuser_script.txt", &matrix(&owned.superuser).await?)?;
    check_that_the_second_role_is_like_the_first(&owned.superuser).await?;
    check_by_trying(&owned).await?;
    owned.connect_as("orders_projector").await?.batch_execute("SELECT create_event_log_partitions()").await?;
    migrate::down(&owned.url(), 4).await?;
    migrate::up(&owned.url()).await?;
    Ok(())
}
