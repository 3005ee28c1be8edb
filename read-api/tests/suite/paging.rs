//! Pages and filters.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use tokio_postgres::Client;

use crate::support::{Api, change, insert, numbers};

pub(crate) async fn page(api: &Api, path: &str) -> Result<Value> {
    Ok(api.get(path).await?.error_for_status()?.json().await?)
}

pub(crate) fn cursor(page: &Value) -> Option<&str> {
    page.get("next_cursor").and_then(Value::as_str)
}

#[tokio::test]
async fn pages_can_be_followed_to_the_last_by_cursor_and_by_link() -> Result<()> {
    let api = Api::start().await?;
    // Many are placed in the same minute: the id is the tie-breaker.
    let orders: Vec<_> = (1..=45).map(|number| (number, "ålice/ö", number / 10)).collect();
    api.insert(&orders).await?;
    let path = "/customers/%C3%A5lice%2F%C3%B6/orders?limit=20&status=placed&placed_from=2026-11-23T11:00:00%2B01:00";
    let (mut by_cursor, mut by_link) = (Vec::new(), Vec::new());
    let mut next = Some(path.to_owned());
    while let Some(path) = next.take() {
        let list = page(&api, &path).await?;
        by_cursor.push(numbers(&list));
        next = cursor(&list)
            .map(|cursor| format!("{}&cursor={cursor}", path.split("&cursor").next().unwrap_or_default()));
    }
    let mut next = Some(path.to_owned());
    while let Some(path) = next.take() {
        let response = api.get(&path).await?;
        let link = response.headers().get("link").map(|link| link.to_str().map(str::to_owned)).transpose()?;
        next = link
            .as_deref()
            .and_then(|link| link.strip_prefix('<')?.strip_suffix(">; rel=\"next\""))
            .map(str::to_owned);
        by_link.push(numbers(&response.json().await?));
    }
    let newest_first: Vec<i64> = (1..=45).rev().collect();
    assert_eq!(by_cursor.concat(), newest_first);
    assert_eq!(by_cursor.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20, 5]);
    assert_eq!(by_link, by_cursor);
    Ok(())
}

/// Such ids are older than the rules on white space and dots. (No client can request `.` and `..`.)
#[tokio::test]
async fn orders_of_customers_with_white_space_at_the_ends_of_their_id_are_found() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, " alice", 0), (2, "alice\u{3000}", 1), (3, " ", 2), (4, "alice", 3)]).await?;
    for (path, number) in [("%20alice", 1), ("alice%E3%80%80", 2), ("%20", 3), ("alice", 4)] {
        let list = page(&api, &format!("/customers/{path}/orders")).await?;
        assert_eq!(numbers(&list), [number], "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_full_last_page_has_no_next_page() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "alice", 1)]).await?;
    let response = api.get("/customers/alice/orders?limit=2").await?;
    assert_eq!(response.headers().get("link"), None);
    let list: Value = response.json().await?;
    assert_eq!((numbers(&list), list.get("next_cursor")), (vec![2, 1], Some(&Value::Null)));
    Ok(())
}

#[tokio::test]
async fn an_order_at_the_start_of_postgresqls_calendar_is_shown() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "alice", 1)]).await?;
    let session = api.database.connect().await?;
    let earliest = "UPDATE order_summary SET placed_at = '4714-11-24 00:00:00Z BC' WHERE total_cents = 100";
    session.batch_execute(earliest).await?;
    let first = page(&api, "/customers/alice/orders?limit=1").await?;
    let behind = format!("limit=1&cursor={}", cursor(&first).context("no next page")?);
    for (query, expected) in [
        ("", vec![2, 1]),
        (&behind, vec![1]),
        ("placed_to=0000-01-01T00:00:00Z", vec![1]),
        ("status=placed", vec![2, 1]),
    ] {
        let list = page(&api, &format!("/customers/alice/orders?{query}")).await?;
        assert_eq!(numbers(&list), expected, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn filters_narrow_a_list() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "alice", 1), (3, "alice", 2), (4, "alice", 3), (5, "bob", 1)]).await?;
    let session = api.database.connect().await?;
    for (number, status) in [(1, "delivered"), (2, "paid"), (3, "shipped")] {
        let update =
            format!("UPDATE order_summary SET status = '{status}' WHERE total_cents = {}", number * 100);
        session.batch_execute(&update).await?;
    }
    let placed = |minute: i32| format!("2026-11-23T10:0{minute}:00.123456Z");
    for (query, expected) in [
        ("status=paid".to_owned(), vec![2]),
        ("status=paid&status=shipped".to_owned(), vec![3, 2]),
        ("status=cancelled".to_owned(), vec![]),
        (
            "status=placed&status=paid&status=shipped&status=delivered&status=cancelled".to_owned(),
            vec![4, 3, 2, 1],
        ),
        (format!("placed_from={}", placed(1)), vec![4, 3, 2]),
        ("placed_from=2026-11-23T10:01:00.1234561Z".to_owned(), vec![4, 3]),
        (format!("placed_to={}", placed(2)), vec![2, 1]),
        ("placed_to=2026-11-23T10:02:00.1234561Z".to_owned(), vec![3, 2, 1]),
        (format!("placed_from={}&placed_to={}", placed(1), placed(3)), vec![3, 2]),
        (format!("placed_from={}&placed_to={}&status=paid", placed(1), placed(3)), vec![2]),
        ("placed_from=0001-01-01T00:00:00Z&placed_to=9999-12-31T23:59:59Z".to_owned(), vec![4, 3, 2, 1]),
    ] {
        assert_eq!(
            numbers(&page(&api, &format!("/customers/alice/orders?{query}")).await?),
            expected,
            "{query}"
        );
    }
    Ok(())
}

/// A change between two pages.
#[derive(Debug, Clone, Copy)]
enum Concurrent {
    /// An order is placed this many minutes after the first one. It may belong in the middle of the list: orders are
    /// not always projected in the order in which they were placed.
    Placed(i32),
    /// An existing order changes.
    Changed(i32),
}

fn concurrent() -> impl Strategy<Value = Vec<Concurrent>> {
    let one = prop_oneof![(0..40).prop_map(Concurrent::Placed), (1..40).prop_map(Concurrent::Changed)];
    prop::collection::vec(one, 0..4)
}

/// Reads all pages while orders are placed and changed, and counts how often each order was shown.
async fn shown(
    api: &Api,
    session: &Client,
    customer: &str,
    limit: usize,
    steps: &[Vec<Concurrent>],
) -> Result<BTreeMap<i64, usize>> {
    let mut shown = BTreeMap::new();
    let mut path = Some(format!("/customers/{customer}/orders?limit={limit}"));
    let (mut steps, mut number) = (steps.iter(), 1_000);
    while let Some(current) = path.take() {
        let list = page(api, &current).await?;
        for order in numbers(&list) {
            *shown.entry(order).or_default() += 1;
        }
        for step in steps.next().into_iter().flatten() {
            match *step {
                Concurrent::Placed(minutes) => {
                    number += 1;
                    insert(session, &[(number, customer, minutes)]).await?;
                }
                Concurrent::Changed(order) => drop(change(session, order, order).await?),
            }
        }
        path =
            cursor(&list).map(|cursor| format!("/customers/{customer}/orders?limit={limit}&cursor={cursor}"));
    }
    Ok(shown)
}

#[tokio::test]
async fn each_order_that_existed_at_the_start_is_shown_exactly_once_despite_concurrent_changes() -> Result<()>
{
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    let at_start = prop::collection::vec(0..40_i32, 1..40);
    let strategy = (at_start, 1..12_usize, prop::collection::vec(concurrent(), 0..20));
    let mut runner = TestRunner::deterministic();
    for case in 0..64 {
        let (minutes, limit, steps) = strategy.new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
        session.batch_execute("TRUNCATE order_summary").await?;
        let orders: Vec<_> =
            (1..).zip(&minutes).map(|(number, minutes)| (number, "alice", *minutes)).collect();
        insert(&session, &orders).await?;
        let shown = shown(&api, &session, "alice", limit, &steps).await?;
        for (number, ..) in orders {
            assert_eq!(
                shown.get(&number.into()),
                Some(&1),
                "case {case}: order {number}, limit {limit}, {steps:?}"
            );
        }
        assert!(shown.values().all(|times| *times == 1), "case {case}: {shown:?}");
    }
    Ok(())
}
