//! Faults of the database: an old transaction, a limit of connections, a server that is read-only, a standby in place
//! of the primary.

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use testkit::postgres::PrivateServer;

use super::alert::Alert;
use super::scene::{Scene, socket};
use super::{LOOK, REMEDY, WORKED, commands, commands_with, section};

const CONNECTIONS: &str = "OrdersDatabaseConnectionsFail";
const READY: &str = r#"{"status":"ready"}"#;

pub(super) async fn a_long_transaction(scene: &Scene) -> Result<()> {
    const NAME: &str = "OrdersOldestTransaction";
    const SECONDS: &str = "3";
    // PostgreSQL sets the time at which a transaction began, and no test waits for ten minutes.
    let alert = Alert::new(scene, NAME)?.with_limit("600", SECONDS)?;
    alert.is_silent().await?;
    let session = scene.connect().await?;
    session.batch_execute("BEGIN; SELECT count(*) FROM order_summary").await?;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    alert.fires().await?;
    scene.shows(&commands(NAME, LOOK)?, &[&pid.to_string(), "idle in transaction"]).await?;
    scene.run(&commands_with(NAME, REMEDY, "10 minutes", &format!("{SECONDS} seconds"))?).await?;
    let is_small = |printed: &str| {
        let age = printed.trim().rsplit(' ').next().and_then(|age| age.parse::<f64>().ok());
        age.is_some_and(|age| age < 1.0)
    };
    scene.until_shown(&commands(NAME, WORKED)?, is_small).await?;
    ensure!(session.query_one("SELECT 1", &[]).await.is_err(), "the session goes on");
    alert.ends().await
}

/// Somebody uses the one session that the role may have, and the process has lost its own.
pub(super) async fn too_few_connections_for_a_role(scene: &Scene) -> Result<()> {
    const REMEDY: &str = "ALTER ROLE orders_projector CONNECTION LIMIT -1";
    let alert = Alert::new(scene, CONNECTIONS)?;
    alert.is_silent().await?;
    let other = scene.connect_as("orders_write_api").await?;
    let pid: i32 = other.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let session = scene.connect().await?;
    session.batch_execute("ALTER ROLE orders_write_api CONNECTION LIMIT 1").await?;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE usename = 'orders_write_api' AND pid <> $1";
    session.execute(end, &[&pid]).await?;
    alert.fires().await?;
    let is_shown = |printed: &str| {
        let mut rows = printed.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let said = ["too many connections for role", "PostgreSQL has no connection left for this role"];
        said.iter().all(|said| printed.contains(said))
            && rows.any(|row| row == ["orders_write_api", "1", "1"])
    };
    scene.until_shown(&commands(CONNECTIONS, LOOK)?, is_shown).await?;
    let table = section(CONNECTIONS)?;
    ensure!(table.contains("| `too many connections for role`") && table.contains(REMEDY), "{table}");
    let remedy = REMEDY.replace("projector", "write_api");
    scene.run(&format!("psql \"$ADMIN_URL\" -c '{remedy}'")).await?;
    scene.shows(&commands(CONNECTIONS, WORKED)?, &["off\n", READY]).await?;
    ensure!(scene.place().await?.is_success(), "orders are not stored");
    alert.ends().await
}

/// In each place where it can be set. The last one decides, so each statement that undoes one shows the one before.
pub(super) async fn read_only_by_a_setting(scene: &Scene) -> Result<()> {
    const PLACES: [(&str, &str); 5] = [
        ("SYSTEM", "configuration file"),
        ("ROLE ALL", "global"),
        ("DATABASE orders", "database"),
        ("ROLE orders_write_api", "user"),
        ("ROLE orders_write_api IN DATABASE orders", "database user"),
    ];
    let alert = Alert::new(scene, CONNECTIONS)?;
    alert.is_silent().await?;
    let session = scene.connect().await?;
    for (place, _) in PLACES {
        session.batch_execute(&format!("ALTER {place} SET default_transaction_read_only = on")).await?;
        // Otherwise this session could not set the next one.
        session.batch_execute("SET default_transaction_read_only = off").await?;
    }
    session.batch_execute("SELECT pg_reload_conf()").await?;
    alert.fires().await?;
    ensure!(scene.place().await? == StatusCode::SERVICE_UNAVAILABLE, "orders are stored");
    for (place, source) in PLACES.iter().rev() {
        let undo = format!("ALTER {place} RESET default_transaction_read_only");
        let look = commands(CONNECTIONS, LOOK)?;
        scene.shows(&look, &["read-only", &format!(" f       | on        | {source}\n"), &undo]).await?;
        let example = "ALTER DATABASE orders RESET default_transaction_read_only";
        scene.run(&commands_with(CONNECTIONS, REMEDY, example, &undo)?).await?;
    }
    scene.shows(&commands(CONNECTIONS, WORKED)?, &["off\n", READY]).await?;
    ensure!(scene.place().await?.is_success(), "orders are not stored");
    alert.ends().await
}

/// The address leads to it, and then its primary is lost.
pub(super) async fn a_standby(mut scene: Scene) -> Result<()> {
    let primary = scene.server.take().context("no primary")?;
    let standby = PrivateServer::start_standby_of(&primary)?;
    let alert = Alert::new(&scene, CONNECTIONS)?;
    alert.is_silent().await?;
    scene.address.route_to(socket(&standby));
    scene.address.cut_once();
    alert.fires().await?;
    scene.shows(&commands(CONNECTIONS, LOOK)?, &[" t       | off", "read-only"]).await?;
    primary.crash();
    scene.run(&commands(CONNECTIONS, "the failover")?).await?;
    scene.shows(&commands(CONNECTIONS, WORKED)?, &["off\n", READY]).await?;
    ensure!(scene.place().await?.is_success(), "orders are not stored");
    alert.ends().await
}
