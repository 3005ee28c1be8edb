//! Pending writes share a commit, and a failing or blocked write does not affect the others (I1).

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::FutureExt;
use futures_util::future::{join_all, select_all, try_join_all};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::wait;

use crate::support::{Api, header, order, problem, wait_for_blocked};

fn order_of(customer: &str) -> Value {
    let mut order = order();
    if let Some(fields) = order.as_object_mut() {
        fields.insert("customer_id".to_owned(), json!(customer));
    }
    order
}

#[tokio::test]
async fn writes_that_wait_for_a_commit_share_the_next_one() -> Result<()> {
    let api = Api::start().await?;
    let mut session = api.database.connect().await?;
    let watcher = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE outbox IN EXCLUSIVE MODE").await?;
    let first = order_of("first");
    let orders: Vec<_> = (0..50).map(|number| order_of(&format!("other {number}"))).collect();
    let others = async {
        wait_for_blocked(&watcher, 1).await?;
        let placing = try_join_all(orders.iter().map(|order| api.place(order)));
        let unlock = async {
            // The runtime has sent the fifty orders before this request.
            api.get("/no-such-path").await?;
            Ok(lock.rollback().await?)
        };
        let (responses, unlocked): (_, Result<()>) = tokio::join!(placing, unlock);
        unlocked?;
        responses
    };
    let (first, others) = tokio::join!(api.place(&first), others);
    assert_eq!(first?.status(), StatusCode::CREATED);
    assert!(others?.iter().all(|response| response.status() == StatusCode::CREATED));
    let transactions = "SELECT count(DISTINCT xmin::text) FROM orders WHERE customer_id LIKE 'other%'";
    let transactions: i64 = watcher.query_one(transactions, &[]).await?.get(0);
    assert!(transactions <= 10, "50 orders took {transactions} transactions");
    Ok(())
}

#[tokio::test]
async fn a_stored_order_gets_its_response_while_the_next_batch_hangs() -> Result<()> {
    let long = [("DATABASE_LOCK_TIMEOUT_MS", "9000"), ("DATABASE_STATEMENT_TIMEOUT_MS", "9000")];
    let api = Api::start_with(&long).await?;
    let (mut session, watcher) = (api.database.connect().await?, api.database.connect().await?);
    let holder = api.database.connect().await?;
    session
        .batch_execute(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END';
             CREATE TRIGGER hold BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.customer_id = 'held')
             EXECUTE FUNCTION hold()",
        )
        .await?;
    holder.batch_execute("SELECT pg_advisory_lock(7)").await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE outbox IN EXCLUSIVE MODE").await?;
    let (first, held) = (order_of("first"), order_of("held"));
    let first = async {
        let response = tokio::time::timeout(Duration::from_secs(4), api.place(&first)).await??;
        wait_for_blocked(&watcher, 1).await?;
        holder.batch_execute("SELECT pg_advisory_unlock(7)").await?;
        anyhow::Ok(response.status())
    };
    let held = async {
        wait_for_blocked(&watcher, 1).await?;
        let unlock = async {
            // The runtime has sent the order before this request.
            api.get("/no-such-path").await?;
            Ok(lock.rollback().await?)
        };
        let (response, ()) = tokio::try_join!(api.place(&held), unlock)?;
        anyhow::Ok(response.status())
    };
    assert_eq!(tokio::try_join!(first, held)?, (StatusCode::CREATED, StatusCode::CREATED));
    Ok(())
}

#[tokio::test]
async fn a_refused_write_does_not_fail_the_rest_of_its_batch() -> Result<()> {
    // The others are tried alone, and each waits for a connection: on a slow machine for long.
    let api = Api::start_with(&[("DATABASE_POOL_WAIT_MS", "20000")]).await?;
    let session = api.database.connect().await?;
    session.batch_execute("ALTER TABLE orders ADD CONSTRAINT no_bad CHECK (customer_id <> 'bad')").await?;
    let customers: Vec<_> = (0..60).map(|number| if number % 20 == 7 { "bad" } else { "good" }).collect();
    let responses =
        join_all(customers.iter().map(|customer| async { api.place(&order_of(customer)).await })).await;
    for (customer, response) in customers.iter().zip(responses) {
        let expected =
            if *customer == "bad" { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::CREATED };
        assert_eq!(response?.status(), expected, "{customer}");
    }
    assert_eq!(api.stored().await?, (57, 57));
    Ok(())
}

#[tokio::test]
async fn a_locked_order_does_not_delay_other_orders() -> Result<()> {
    let api = Api::start().await?;
    let locked = api.placed().await?;
    let mut session = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute(&format!("SELECT * FROM orders WHERE order_id = '{locked}' FOR UPDATE")).await?;
    let paying = api.step(&locked, "pay");
    let others = async {
        for number in 0..30 {
            let placed = api.place(&order_of(&format!("other {number}"))).await?;
            anyhow::ensure!(placed.status() == StatusCode::CREATED);
        }
        Ok(lock.rollback().await?)
    };
    let others = tokio::time::timeout(Duration::from_secs(5), others);
    let (paying, others): (_, std::result::Result<Result<()>, _>) = tokio::join!(paying, others);
    others??;
    assert_eq!(paying?.status(), StatusCode::OK, "it is stored once the lock is released");
    assert_eq!(api.stored().await?, (31, 32));
    Ok(())
}

#[tokio::test]
async fn an_order_that_another_session_is_placing_delays_others_only_briefly() -> Result<()> {
    let api = Api::start().await?;
    let mut repeated = order();
    repeated["order_id"] = json!(uuid::Uuid::now_v7());
    let mut session = api.database.connect().await?;
    let elsewhere = session.transaction().await?;
    let insert = "INSERT INTO orders SELECT $1::text::uuid, 'c', '[{}]', 1, 'placed', 1, now(), now()";
    elsewhere.execute(insert, &[&repeated["order_id"].as_str().unwrap_or_default()]).await?;
    let start = Instant::now();
    let others: Vec<_> = (0..20).map(|number| order_of(&format!("other {number}"))).collect();
    let others = try_join_all(others.iter().map(|order| api.place(order)));
    let (repeated, others) =
        tokio::join!(api.place(&repeated), async { anyhow::Ok((others.await?, start.elapsed())) });
    let (others, took) = others?;
    assert!(others.iter().all(|response| response.status() == StatusCode::CREATED));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(
        repeated?.status(),
        StatusCode::SERVICE_UNAVAILABLE,
        "the outcome of the order with the same id is not known yet"
    );
    elsewhere.rollback().await?;
    Ok(())
}

#[tokio::test]
async fn many_repeats_of_one_order_do_not_delay_other_orders() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    // Commits are slow, so that one batch per repeat would take very long.
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END $$;
                CREATE TRIGGER slow AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION slow()";
    session.batch_execute(slow).await?;
    let mut repeated = order();
    repeated["order_id"] = json!(uuid::Uuid::now_v7());
    let others: Vec<_> = (0..50).map(|number| order_of(&format!("other {number}"))).collect();
    let start = Instant::now();
    let repeats = try_join_all((0..300).map(|_| api.place(&repeated)));
    let others = async {
        let responses = try_join_all(others.iter().map(|order| api.place(order))).await?;
        anyhow::Ok((responses, start.elapsed()))
    };
    let (repeats, others) = tokio::join!(repeats, others);
    assert!(repeats?.iter().all(|response| response.status() == StatusCode::CREATED));
    let (responses, took) = others?;
    assert!(responses.iter().all(|response| response.status() == StatusCode::CREATED));
    // 300 batches of 20 ms would take 6 s.
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(api.stored().await?, (51, 51));
    Ok(())
}

#[tokio::test]
async fn a_write_that_is_queued_beyond_its_deadline_is_withdrawn() -> Result<()> {
    let api = Api::start_with(&[("WRITE_DEADLINE_MS", "500"), ("DATABASE_LOCK_TIMEOUT_MS", "3000")]).await?;
    let mut session = api.database.connect().await?;
    let watcher = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE orders IN EXCLUSIVE MODE").await?;
    let (first, second) = (order_of("in flight"), order_of("waiting"));
    let waiting = async {
        wait_for_blocked(&watcher, 1).await?;
        let start = Instant::now();
        let response = api.place(&second).await?;
        anyhow::Ok((response, start.elapsed()))
    };
    let (first, waiting) = tokio::join!(api.place(&first), waiting);
    assert_eq!(problem(first?).await?["type"], "/problems/outcome-unknown", "it may still be stored");
    let (response, took) = waiting?;
    assert_eq!(problem(response).await?["type"], "/problems/unavailable", "it was never attempted");
    assert!(took < Duration::from_secs(2), "{took:?}");
    lock.rollback().await?;
    wait::until("the write in flight to be stored", Duration::from_secs(30), || async {
        let stored = api.stored().await;
        if matches!(stored, Ok((1, 1))) { Ok(()) } else { Err(stored) }
    })
    .await?;
    // A write that was not withdrawn would be stored with this one.
    api.place(&order_of("next")).await?;
    assert_eq!(api.stored().await?, (2, 2));
    Ok(())
}

#[tokio::test]
async fn a_full_queue_gives_503_at_once_and_accepted_writes_are_stored() -> Result<()> {
    // The lock timeout is long enough for this test, even on a busy machine.
    let api = Api::start_with(&[("WRITE_QUEUE", "2"), ("DATABASE_LOCK_TIMEOUT_MS", "3500")]).await?;
    let mut session = api.database.connect().await?;
    let watcher = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE orders IN EXCLUSIVE MODE").await?;
    let orders: Vec<_> = (0..10).map(|number| order_of(&format!("customer {number}"))).collect();
    // Accepted writes get no response before the lock is released, so the first response is a refusal.
    let (refused, _, others) = select_all(orders.iter().map(|order| api.place(order).boxed_local())).await;
    let refused = refused?;
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    assert_eq!(problem(refused).await?["type"], "/problems/unavailable");
    wait_for_blocked(&watcher, 1).await?;
    lock.rollback().await?;
    let responses = join_all(others).await;
    let mut created = 0;
    for response in responses {
        let response = response?;
        match response.status() {
            StatusCode::CREATED => created += 1,
            StatusCode::SERVICE_UNAVAILABLE => assert_eq!(header(&response, "retry-after"), Some("1")),
            other => panic!("{other}"),
        }
    }
    assert!((1..10).contains(&created), "{created}");
    assert_eq!(api.stored().await?, (created, created), "only acknowledged orders are stored");
    Ok(())
}

#[tokio::test]
async fn a_lower_limit_of_requests_in_flight_leaves_no_part_of_the_queue_unused() -> Result<()> {
    let vars = [
        ("WRITE_QUEUE", "8"),
        ("HTTP_MAX_IN_FLIGHT", "1"),
        ("HTTP_WORKERS", "1"),
        ("DATABASE_LOCK_TIMEOUT_MS", "3500"),
    ];
    let api = Api::start_with(&vars).await?;
    let mut session = api.database.connect().await?;
    let watcher = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE orders IN EXCLUSIVE MODE").await?;
    let orders: Vec<_> = (0..4).map(|number| order_of(&format!("customer {number}"))).collect();
    let released = async {
        wait_for_blocked(&watcher, 1).await?;
        lock.rollback().await?;
        anyhow::Ok(())
    };
    let (responses, released) = tokio::join!(join_all(orders.iter().map(|order| api.place(order))), released);
    released?;
    for response in responses {
        assert_eq!(response?.status(), StatusCode::CREATED);
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_disconnects_leaves_nothing_half_done() -> Result<()> {
    let api = Api::start().await?;
    let mut session = api.database.connect().await?;
    let watcher = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE outbox IN EXCLUSIVE MODE").await?;
    let order = order();
    let placing = tokio::spawn(api.client.post(format!("{}/orders", api.url)).json(&order).send());
    wait_for_blocked(&watcher, 1).await?;
    placing.abort();
    assert!(placing.await.is_err_and(|error| error.is_cancelled()));
    lock.rollback().await?;
    wait::until("order and event to be stored", Duration::from_secs(30), || async {
        let stored = api.stored().await;
        if matches!(stored, Ok((1, 1))) { Ok(()) } else { Err(stored) }
    })
    .await?;
    Ok(())
}
