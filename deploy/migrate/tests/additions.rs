//! Migrations of one's own beside those of the product.

use std::path::Path;

use anyhow::Result;
use migrate::{Addition, MigrateError};
use testkit::test_database::TestDatabase;

/// A folder with one migration, which names a table of the product and one of its own.
fn folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let migration = folder.path().join("2026-01-01-000001_create_visits");
    std::fs::create_dir(&migration)?;
    std::fs::write(migration.join("up.sql"), "CREATE TABLE visits AS SELECT order_id FROM orders;")?;
    std::fs::write(migration.join("down.sql"), "DROP TABLE visits;")?;
    Ok(folder)
}

async fn tables(database: &TestDatabase) -> Result<Vec<String>> {
    let tables = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE tablename = 'visits'";
    let tables = database.connect().await?.query(tables, &[]).await?;
    Ok(tables.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn they_have_a_schema_and_a_history_of_their_own() -> Result<()> {
    let database = TestDatabase::create().await?;
    let (url, folder) = (database.superuser_url(), folder()?);
    let addition = Addition::new("visits", folder.path())?;
    assert_eq!(addition.pending(&url).await?, ["2026-01-01-000001_create_visits"]);
    assert_eq!(addition.up(&url).await?.len(), 1);
    assert_eq!(addition.up(&url).await?, [], "nothing more to apply");
    assert_eq!(tables(&database).await?, ["visits.visits"]);
    assert!(migrate::pending(&url).await?.is_empty(), "the product's history is as before");

    assert_eq!(addition.down(&url, 9).await?.len(), 1);
    assert_eq!(tables(&database).await?, [""; 0]);
    assert_eq!(migrate::down(&url, 1).await?.len(), 1, "the product's way back is free");
    Ok(())
}

#[tokio::test]
async fn a_missing_folder_is_an_error_that_names_it() -> Result<()> {
    let database = TestDatabase::create_empty().await?;
    let addition = Addition::new("visits", Path::new("/no/such/folder"))?;
    let error = addition.up(&database.superuser_url()).await.unwrap_err();
    assert!(matches!(&error, MigrateError::Folder { .. }), "{error:?}");
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
    Ok(())
}
