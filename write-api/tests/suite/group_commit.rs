//! What waits goes together, and nobody pays for a neighbour.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};
use local::wait;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Api, header, order, problem, wait_for_blocked};

fn order_of(customer: &str) -> Value {
    let mut order = order();
    if let Some(fields) = order.as_object_mut() {
        fields.insert("customer_id".to_owned(), json!(customer));
    }
    order
}

#[tokio::test]
async fn what_waits_while_a_commit_is_in_flight_shares_the_next_one() -> Result<()> {
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
            // The fifty were sent before this, on the same runtime.
            api.get("/livez").await?;
            Ok(lock.rollback().await?)
        };
        let (answers, unlocked): (_, Result<()>) = tokio::join!(placing, unlock);
        unlocked?;
        answers
    };
    let (first, others) = tokio::join!(api.place(&first), others);
    assert_eq!(first?.status(), StatusCode::CREATED);
    assert!(others?.iter().all(|answer| answer.status() == StatusCode::CREATED));
    let transactions = "SELECT count(DISTINCT xmin::text) FROM orders WHERE customer_id LIKE 'other%'";
    let transactions: i64 = watcher.query_one(transactions, &[]).await?.get(0);
    assert!(transactions <= 10, "50 orders took {transactions} transactions");
    Ok(())
}

#[tokio::test]
async fn one_bad_command_does_not_fail_its_neighbours() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    session.batch_execute("ALTER TABLE orders ADD CONSTRAINT no_bad CHECK (customer_id <> 'bad')").await?;
    let customers: Vec<_> = (0..60).map(|number| if number % 20 == 7 { "bad" } else { "good" }).collect();
    let answers =
        join_all(customers.iter().map(|customer| async { api.place(&order_of(customer)).await })).await;
    for (customer, answer) in customers.iter().zip(answers) {
        let expected =
            if *customer == "bad" { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::CREATED };
        assert_eq!(answer?.status(), expected, "{customer}");
    }
    assert_eq!(api.stored().await?, (57, 57));
    Ok(())
}

#[tokio::test]
async fn an_order_that_somebody_has_locked_holds_up_nobody_else() -> Result<()> {
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
    assert_eq!(paying?.status(), StatusCode::OK, "it is stored once the lock is gone");
    assert_eq!(api.stored().await?, (31, 32));
    Ok(())
}

#[tokio::test]
async fn a_full_queue_is_503_at_once_and_what_was_accepted_is_stored() -> Result<()> {
    let api = Api::start_with(&[("WRITE_QUEUE", "2")]).await?;
    let mut session = api.database.connect().await?;
    let watcher = api.database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE orders IN EXCLUSIVE MODE").await?;
    let orders: Vec<_> = (0..10).map(|number| order_of(&format!("customer {number}"))).collect();
    let answers = join_all(orders.iter().map(|order| async { api.place(order).await }));
    let unlock = async {
        wait_for_blocked(&watcher, 1).await?;
        // One is in flight and two are waiting; all others are refused without any help from the lock.
        let refused = problem(api.place(&order_of("one more")).await?).await?;
        assert_eq!(refused["type"], "/problems/unavailable");
        Ok(lock.rollback().await?)
    };
    let (answers, unlocked): (_, Result<()>) = tokio::join!(answers, unlock);
    unlocked?;
    let mut created = 0;
    for answer in answers {
        let answer = answer?;
        match answer.status() {
            StatusCode::CREATED => created += 1,
            StatusCode::SERVICE_UNAVAILABLE => assert_eq!(header(&answer, "retry-after"), Some("1")),
            other => panic!("{other}"),
        }
    }
    assert!((1..10).contains(&created), "{created}");
    assert_eq!(api.stored().await?, (created, created), "what was acknowledged and nothing else");
    Ok(())
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing_half_done() -> Result<()> {
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
    wait::until("order and event to be stored", Duration::from_secs(5), || async {
        let stored = api.stored().await;
        if matches!(stored, Ok((1, 1))) { Ok(()) } else { Err(stored) }
    })
    .await?;
    Ok(())
}
