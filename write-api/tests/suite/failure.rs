//! Failures of storage.

use std::time::Duration;

use anyhow::Result;
use chrono::Utc;
use reqwest::StatusCode;
use testkit::wait;
use write_api::port::{OrderWriter, SaveResult};

use crate::support::{Api, SingleSessionWriter, order, problem, some_order};

#[tokio::test]
async fn if_the_event_cannot_be_stored_the_order_is_not_stored_either() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    session.batch_execute("ALTER TABLE outbox ADD CONSTRAINT refuse_all CHECK (false) NOT VALID").await?;

    let response = api.place(&order()).await?;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let problem = problem(response).await?;
    assert_eq!(problem["type"], "/problems/internal");
    assert!(!problem.to_string().contains("refuse_all"), "the response shows internals: {problem}");
    assert_eq!(api.stored().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn probes_and_metrics_have_their_own_listener() -> Result<()> {
    let api = Api::start().await?;
    api.until_ready_is(StatusCode::OK).await?;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(api.probe(path).await?.status(), StatusCode::OK, "{path}");
        assert_eq!(api.get(path).await?.status(), StatusCode::NOT_FOUND, "{path} on the port of the API");
    }
    let unknown = api.probe("/orders").await?;
    assert_eq!(problem(unknown).await?["type"], "/problems/no-such-resource");
    Ok(())
}

#[tokio::test]
async fn while_the_database_is_down_requests_get_503_and_later_succeed_again() -> Result<()> {
    let api = Api::start_with(&[("READINESS_GRACE_MS", "1500")]).await?;
    assert_eq!(api.place(&order()).await?.status(), StatusCode::CREATED);
    api.until_ready_is(StatusCode::OK).await?;
    let session = api.database.connect().await?;

    api.database.close(&session).await?;
    api.until_ready_is(StatusCode::SERVICE_UNAVAILABLE).await?;
    assert_eq!(api.probe("/livez").await?.status(), StatusCode::OK, "a restart would not help");
    let response = api.place(&order()).await?;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem(response).await?["type"], "/problems/unavailable");

    api.database.reopen(&session).await?;
    wait::until("an order to be accepted", Duration::from_secs(20), || async {
        let status = api.place(&order()).await.map(|response| response.status());
        if matches!(status, Ok(StatusCode::CREATED)) { Ok(()) } else { Err(status) }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_table_that_is_locked_for_too_long_gives_503() -> Result<()> {
    let api = Api::start_with(&[("DATABASE_LOCK_TIMEOUT_MS", "300")]).await?;
    let mut session = api.database.connect().await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await?;
    let response = tokio::time::timeout(Duration::from_secs(10), api.place(&order())).await??;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    transaction.rollback().await?;
    assert_eq!(api.stored().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn every_statement_is_prepared_once_and_reused() -> Result<()> {
    let SingleSessionWriter { test_database: _kept, database, writer, .. } =
        SingleSessionWriter::open().await?;
    for _ in 0..10 {
        let (order, event) = some_order(Utc::now())?;
        assert_eq!(writer.save(&order, event.clone()).await?, SaveResult::Stored);
        assert!(matches!(writer.save(&order, event).await?, SaveResult::Conflict(_)));
        assert!(writer.find(order.id(), None).await?.is_some());
    }
    let mut connection = database.session().await?;
    let uses = "SELECT (generic_plans + custom_plans)::bigint AS uses FROM pg_prepared_statements
                WHERE split_part(statement, E'\\n', 1) IN ('-- find', '-- look_up', '-- save_batch')
                ORDER BY split_part(statement, E'\\n', 1)";
    let uses: Vec<Uses> = diesel_async::RunQueryDsl::load(diesel::sql_query(uses), &mut connection).await?;
    let uses: Vec<_> = uses.iter().map(|row| row.uses).collect();
    assert_eq!(uses, [10, 10, 20], "ten finds, ten lookups of replays, twenty saves");
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct Uses {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    uses: i64,
}
