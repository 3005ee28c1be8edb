//! `DATABASE_URL_FILE`: a password changes without a restart.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use service_kit::database::DatabaseConfig;
use service_kit::telemetry::chain;

use crate::scene::{PASSWORD, Scene};

#[tokio::test]
async fn the_file_is_read_again_for_each_new_connection() -> Result<()> {
    let Some(scene) = Scene::start().await? else { return Ok(()) };
    let file = scene.write("url", &format!("{}\n", scene.url("app")))?;
    let vars = vec![
        ("DATABASE_URL_FILE".to_owned(), file.to_str().context("a path")?.to_owned()),
        ("DATABASE_POOL_SIZE".to_owned(), "9".to_owned()),
    ];
    let database = DatabaseConfig::from_vars(&vars)?.open("test")?;
    // Held, so that each session is a new connection.
    let mut held = vec![database.session().await?];
    scene.server.execute("ALTER ROLE app PASSWORD 'another'").await?;
    let old = chain(&database.session().await.err().context("the old password")?);
    assert!(old.contains("password authentication failed") && !old.contains(PASSWORD), "{old}");
    scene.write("url", &scene.url("app").replace(PASSWORD, "another"))?;
    held.push(database.session().await.context("the new password")?);
    // The last URL goes on while the file cannot be used, and when it is open to all.
    for (text, mode) in [("", 0o600), ("postgres://app@db.example/orders", 0o600), ("hunter2", 0o600)] {
        scene.write("url", text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
        held.push(database.session().await.context(text)?);
    }
    fs::remove_file(&file)?;
    held.push(database.session().await.context("no file")?);
    scene.server.execute("ALTER ROLE app PASSWORD 'a third'").await?;
    scene.write("url", &scene.url("app").replace(PASSWORD, "a%20third"))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o604))?;
    held.push(database.session().await.context("readable for all")?);
    let start = DatabaseConfig::from_vars(&vars).err().context("it starts")?.to_string();
    assert!(start.starts_with("DATABASE_URL_FILE names a file that every user can read"), "{start}");
    Ok(())
}
