//! The outcome of a write that is attempted twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use diesel_async::SimpleAsyncConnection;
use futures_util::FutureExt;
use service_kit::database::{DatabaseConfig, DatabaseError};
use testkit::test_database::TestDatabase;

/// The first attempt is refused late, so that the time limit of both passes during the second attempt.
#[tokio::test]
async fn a_second_attempt_that_times_out_has_an_unknown_outcome() -> Result<()> {
    const REFUSE: &str =
        "DO $$ BEGIN PERFORM pg_sleep(1.6); RAISE EXCEPTION 'no' USING ERRCODE = '25006'; END $$";
    let database = TestDatabase::create().await?;
    let vars = [
        ("DATABASE_URL", database.url("orders_write_api")),
        ("DATABASE_POOL_WAIT_MS", "100".to_owned()),
        ("DATABASE_STATEMENT_TIMEOUT_MS", "2000".to_owned()),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let writes = DatabaseConfig::from_vars(&vars)?.open("test")?;
    let attempts = AtomicUsize::new(0);
    let written = writes.write(|connection| match attempts.fetch_add(1, Ordering::Relaxed) {
        0 => connection.batch_execute(REFUSE).boxed(),
        _ => std::future::pending().boxed(),
    });
    let error = written.await.unwrap_err();
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
    assert!(matches!(error, DatabaseError::NoAnswer), "{error:?}");
    Ok(())
}
