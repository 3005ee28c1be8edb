//! The command `write-api republish`.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{TimeDelta, Utc};
use shared_events::{OrderChange, OrderEvent, OrderFacts};
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio_postgres::Client;
use uuid::Uuid;
use write_api::command::{ChangeStatus, Precondition};
use write_api::domain::Step;
use write_api::port::OrderWriter;

use crate::support::{Api, SingleSessionWriter, order, some_order};

async fn republish(api: &Api, args: &[&str]) -> Result<Output> {
    republish_on(&api.database, args).await
}

async fn republish_on(database: &TestDatabase, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_write-api"));
    command.arg("republish").args(args).env("DATABASE_URL", database.url("orders_write_api"));
    command.stdin(Stdio::null());
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

/// Places three orders with different statuses, and empties the outbox. The ids are sorted.
async fn three_orders(api: &Api, session: &Client) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for steps in [&[][..], &["pay"], &["pay", "ship"]] {
        let order_id = api.placed().await?;
        for step in steps {
            api.step(&order_id, step).await?;
        }
        ids.push(order_id);
    }
    session.batch_execute("DELETE FROM outbox").await?;
    ids.sort();
    Ok(ids)
}

async fn events(session: &Client) -> Result<Vec<OrderEvent>> {
    let rows = session.query("SELECT kind, payload::text FROM outbox ORDER BY id", &[]).await?;
    rows.iter().map(|row| Ok(OrderEvent::decode(row.get(0), row.get(1))?)).collect()
}

#[tokio::test]
async fn every_order_is_republished_in_its_current_state() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    let ids = three_orders(&api, &session).await?;
    let output = republish(&api, &["--batch", "2"]).await?;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("\"orders.republished\":3") && said.contains(&ids[2]), "{said}");

    let events = events(&session).await?;
    assert_eq!(events.iter().map(|event| event.order.order_id.to_string()).collect::<Vec<_>>(), ids);
    assert!(events.iter().all(|event| event.change == OrderChange::Republished));
    let versions = "SELECT version, status FROM orders ORDER BY order_id";
    for (row, event) in session.query(versions, &[]).await?.iter().zip(&events) {
        assert_eq!(
            (row.get::<_, i32>(0), row.get::<_, &str>(1)),
            (event.order.version, event.order.status.as_str())
        );
    }
    Ok(())
}

/// A read model that lost its rows, or has rows from before the facts, gets everything.
#[tokio::test]
async fn a_republished_event_carries_the_whole_order() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    let mut request = order();
    request["currency"] = "EUR".into();
    let placed: serde_json::Value = api.place(&request).await?.error_for_status()?.json().await?;
    let order_id = placed["order_id"].as_str().unwrap_or_default();
    api.step(order_id, "pay").await?;
    let ship = api.client.post(format!("{}/orders/{order_id}/ship", api.url));
    let details = serde_json::json!({"carrier": "DHL", "tracking_number": "JD01"});
    ship.json(&details).send().await?.error_for_status()?;
    api.step(order_id, "deliver").await?;
    // A row of an older build: it has no facts.
    let older = api.placed().await?;
    let pay =
        "UPDATE orders SET status = 'paid', version = 2, updated_at = '2026-11-20Z' WHERE currency IS NULL";
    session.batch_execute(pay).await?;
    let by_step: OrderFacts =
        events(&session).await?.into_iter().fold(OrderFacts::default(), |facts, event| {
            if event.order.order_id.to_string() == order_id { union(facts, event.facts) } else { facts }
        });
    session.batch_execute("DELETE FROM outbox").await?;

    assert!(republish(&api, &[]).await?.status.success());
    let events = events(&session).await?;
    let facts = |order_id: &str| {
        let event = events.iter().find(|event| event.order.order_id.to_string() == order_id);
        event.map(|event| event.facts.clone()).context("not republished")
    };
    let whole = facts(order_id)?;
    assert_eq!(whole, by_step);
    let texts = [&whole.currency, &whole.carrier, &whole.tracking_number].map(Option::as_deref);
    assert_eq!(texts, [Some("EUR"), Some("DHL"), Some("JD01")]);
    assert_eq!(whole.items.map(|items| items.len()), Some(2));
    assert!([whole.paid_at, whole.shipped_at, whole.delivered_at].iter().all(Option::is_some));
    let paid_at = Some("2026-11-20T00:00:00Z".parse()?);
    let older = facts(&older)?;
    assert_eq!(
        (older.items.map(|items| items.len()), older.paid_at, older.currency),
        (Some(2), paid_at, None)
    );
    Ok(())
}

/// What both know together.
fn union(a: OrderFacts, b: OrderFacts) -> OrderFacts {
    OrderFacts {
        items: a.items.or(b.items),
        currency: a.currency.or(b.currency),
        carrier: a.carrier.or(b.carrier),
        tracking_number: a.tracking_number.or(b.tracking_number),
        cancel_reason: a.cancel_reason.or(b.cancel_reason),
        paid_at: a.paid_at.or(b.paid_at),
        shipped_at: a.shipped_at.or(b.shipped_at),
        delivered_at: a.delivered_at.or(b.delivered_at),
        cancelled_at: a.cancelled_at.or(b.cancelled_at),
    }
}

#[tokio::test]
async fn options_select_orders() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    let mut other = order();
    other["customer_id"] = "somebody else".into();
    api.place(&other).await?;
    session.batch_execute("UPDATE orders SET updated_at = '2020-01-01Z', placed_at = '2020-01-01Z'").await?;
    let ids = three_orders(&api, &session).await?;
    let unknown = Uuid::now_v7().to_string();
    for (args, count) in [
        (vec!["--customer", "somebody else"], 1),
        (vec!["--customer", "nobody"], 0),
        (vec!["--since", "2025-01-01T00:00:00Z"], 3),
        (vec!["--since", "2025-01-01T00:00:00Z", "--customer", "somebody else"], 0),
        (vec!["--order-id", &ids[1]], 1),
        (vec!["--order-id", &unknown], 0),
        (vec!["--after", &ids[0], "--batch", "1"], 2),
    ] {
        session.batch_execute("DELETE FROM outbox").await?;
        let output = republish(&api, &args).await?;
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert_eq!(events(&session).await?.len(), count, "{args:?}");
    }
    Ok(())
}

#[tokio::test]
async fn it_pauses_while_the_backlog_is_long() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    three_orders(&api, &session).await?;
    let count = || async {
        Ok::<i64, anyhow::Error>(session.query_one("SELECT count(*) FROM outbox", &[]).await?.get(0))
    };
    let run = republish(&api, &["--batch", "1", "--max-backlog", "1"]);
    let drain = async {
        // Two events exceed the limit of one, so the third event waits until they are deleted.
        wait::until("the backlog to be full", Duration::from_secs(30), || async {
            let found = count().await;
            if matches!(found, Ok(2)) { Ok(()) } else { Err(found) }
        })
        .await?;
        anyhow::Ok(session.batch_execute("DELETE FROM outbox").await?)
    };
    let (output, drained) = tokio::join!(run, drain);
    drained?;
    let output = output?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(count().await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_invalid_argument_is_named() -> Result<()> {
    let api = Api::start().await?;
    for args in [["--customer", ""], ["--order-id", "7"], ["--since", "yesterday"], ["--batch", "0"]] {
        let output = republish(&api, &args).await?;
        let said = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && said.contains(args[0]), "{args:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_corrupt_order_is_logged_and_left_out_and_the_others_are_republished() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    let ids = three_orders(&api, &session).await?;
    session
        .batch_execute(&format!("UPDATE orders SET total_cents = 1 WHERE order_id = '{}'", ids[1]))
        .await?;
    let output = republish(&api, &["--batch", "1"]).await?;
    let said = String::from_utf8(output.stderr)?;
    assert!(!output.status.success() && said.contains("1 orders were left out"), "{said}");
    assert!(said.contains(&ids[1]), "the log names it: {said}");
    let republished: Vec<_> =
        events(&session).await?.iter().map(|event| event.order.order_id.to_string()).collect();
    assert_eq!(republished, [ids[0].clone(), ids[2].clone()]);
    Ok(())
}

/// PostgreSQL stores times and numbers that other programs cannot express.
#[tokio::test]
async fn an_order_with_an_unreadable_value_is_left_out_and_the_others_are_republished() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    let ids = three_orders(&api, &session).await?;
    let deep = "('[' || repeat('[', 500) || repeat(']', 500) || ']')::jsonb";
    for odd in [
        "status = 'paid', version = 2, paid_at = '290000-01-01'",
        "placed_at = 'infinity'",
        "placed_at = '290000-01-01'",
        "updated_at = '-infinity'",
        r#"items = '[{"sku": "s", "quantity": 1, "price_cents": 1e400}]'"#,
        &format!("items = {deep}"),
    ] {
        let order = format!("UPDATE orders SET {odd} WHERE order_id = '{}'", ids[1]);
        session.batch_execute(&format!("DELETE FROM outbox; {order}")).await?;
        let output = republish(&api, &[]).await?;
        let said = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && said.contains("1 orders were left out"), "{odd}: {said}");
        let republished: Vec<_> =
            events(&session).await?.iter().map(|event| event.order.order_id.to_string()).collect();
        assert_eq!(republished, [ids[0].clone(), ids[2].clone()], "{odd}");
    }
    Ok(())
}

#[tokio::test]
async fn an_interrupted_run_fails_and_names_where_to_continue() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    let ids = three_orders(&api, &session).await?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_write-api"));
    command.args(["republish", "--batch", "1", "--max-backlog", "0"]);
    command.env("DATABASE_URL", api.database.url("orders_write_api")).stdin(Stdio::null());
    let running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    wait::until("the first event", Duration::from_secs(30), || async {
        let count = events(&session).await.map(|events| events.len());
        if matches!(count, Ok(1)) { Ok(()) } else { Err(count) }
    })
    .await?;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(running.id().try_into()?),
        nix::sys::signal::Signal::SIGTERM,
    )?;
    let output = tokio::task::spawn_blocking(move || running.wait_with_output()).await??;
    let said = String::from_utf8(output.stderr)?;
    assert!(
        !output.status.success() && said.contains(&format!("continue with --after {}", ids[0])),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn since_includes_changes_by_a_writer_with_a_slow_clock() -> Result<()> {
    let SingleSessionWriter { test_database, writer, .. } = SingleSessionWriter::open().await?;
    let since = Utc::now();
    let slow = since - TimeDelta::hours(2);
    let (order, event) = some_order(slow)?;
    writer.save(&order, event).await?;
    let pay = ChangeStatus {
        order_id: order.id(),
        owner: None,
        step: Step::Pay,
        precondition: Precondition::AnyVersion,
    };
    pay.run(&writer, slow).await?;
    let session = test_database.connect().await?;
    session.batch_execute("DELETE FROM outbox").await?;

    let since = since.to_rfc3339();
    let output = republish_on(&test_database, &["--since", &since]).await?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(events(&session).await?.len(), 1);
    Ok(())
}
