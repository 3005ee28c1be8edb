//! All processes and tools connect with TLS.

use anyhow::{Context, Result};
use testkit::database::Database;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::wait;

use crate::scene::{LIMIT, PASSWORD, Scene, session};

#[tokio::test]
async fn the_migrator_and_every_process_use_tls() -> Result<()> {
    let Some(scene) = Scene::start().await? else { return Ok(()) };
    // The launcher and the benchmarks use a server in this way.
    let database = Database::existing(scene.url("postgres")).await?;
    let role = session(&database.url_for("orders_read_api")?).await?;
    let row = role.query_one("SELECT current_user::text, pg_backend_pid()", &[]).await?;
    assert_eq!(row.get::<_, &str>(0), "orders_read_api");
    let admin = session(&scene.url("postgres")).await?;
    let pid: i32 = row.get(1);
    let row = admin.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = $1", &[&pid]).await?;
    assert!(row.get::<_, bool>(0), "no TLS");

    let (binaries, logs) = (ServiceBinaries::built().await?, tempfile::tempdir()?);
    let mut running = Vec::new();
    for kind in ServiceKind::ALL {
        admin.batch_execute(&format!("ALTER ROLE {} PASSWORD '{PASSWORD}'", kind.role())).await?;
        let mut service =
            Service::start(kind, &binaries.program(kind), &scene.url(kind.role()), 0, logs.path())?;
        service.wait_until_ready().await?;
        running.push(service);
    }
    let sessions = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl)
                    FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = $1";
    for kind in ServiceKind::ALL {
        wait::until("sessions with TLS", LIMIT, async || {
            let row = admin.query_one(sessions, &[&kind.role()]).await.map_err(|error| error.to_string())?;
            let (with, without): (i64, i64) = (row.get(0), row.get(1));
            if with > 0 && without == 0 { Ok(()) } else { Err(format!("{with} with, {without} without")) }
        })
        .await
        .context(kind.name())?;
    }
    Ok(())
}
