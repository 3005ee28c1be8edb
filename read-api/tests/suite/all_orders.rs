//! The list of the orders of all customers.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::paging::{cursor, page};
use crate::support::{Api, numbers};

const STATUSES: [&str; 5] = ["placed", "paid", "shipped", "delivered", "cancelled"];

/// Orders 1 to 50 of five customers, one a minute except that two share each minute, with all statuses in turn.
async fn with_fifty_orders() -> Result<Api> {
    let api = Api::start().await?;
    let orders: Vec<_> = (1..=50).map(|number| (number, "alice", number / 2)).collect();
    api.insert(&orders).await?;
    let spread = "UPDATE order_summary SET customer_id = 'customer ' || total_cents / 100 % 7,
            status = (ARRAY['placed', 'paid', 'shipped', 'delivered', 'cancelled'])[1 + total_cents / 100 % 5]";
    api.database.connect().await?.batch_execute(spread).await?;
    Ok(api)
}

/// The orders from 50 down to 1 that `is_wanted`.
fn newest_first(is_wanted: impl Fn(i64) -> bool) -> Vec<i64> {
    (1..=50).rev().filter(|number| is_wanted(*number)).collect()
}

fn has_status(number: i64, statuses: &[&str]) -> bool {
    let status = usize::try_from(number % 5).ok().and_then(|index| STATUSES.get(index));
    status.is_some_and(|status| statuses.contains(status))
}

#[tokio::test]
async fn it_shows_the_orders_of_all_customers_newest_first_and_ties_by_id() -> Result<()> {
    let api = with_fifty_orders().await?;
    let list = page(&api, "/orders?limit=100").await?;
    assert_eq!(numbers(&list), newest_first(|_| true));
    let customers =
        list["orders"].as_array().into_iter().flatten().map(|order| order["customer_id"].as_str());
    let expected: Vec<_> = (1..=50).rev().map(|number| format!("customer {}", number % 7)).collect();
    assert_eq!(customers.collect::<Option<Vec<_>>>().context("no customer")?, expected);
    assert_eq!(numbers(&page(&api, "/orders").await?).len(), 20, "the default");
    Ok(())
}

#[tokio::test]
async fn it_can_be_filtered_by_any_statuses_and_by_time() -> Result<()> {
    let api = with_fifty_orders().await?;
    for bits in 0..32_u8 {
        let statuses: Vec<_> = (0..5)
            .zip(STATUSES)
            .filter(|(bit, _)| bits & (1 << bit) != 0)
            .map(|(_, status)| status)
            .collect();
        let wanted = if statuses.is_empty() { STATUSES.to_vec() } else { statuses.clone() };
        let query = statuses.iter().fold(String::new(), |query, status| query + "&status=" + status);
        let list = page(&api, &format!("/orders?limit=100{query}")).await?;
        assert_eq!(numbers(&list), newest_first(|number| has_status(number, &wanted)), "{query}");
    }
    let between = "placed_from=2026-11-23T10:05:00.123456Z&placed_to=2026-11-23T10:07:00.123456Z";
    assert_eq!(numbers(&page(&api, &format!("/orders?{between}")).await?), [13, 12, 11, 10]);
    let paid = page(&api, &format!("/orders?{between}&status=paid")).await?;
    assert_eq!(numbers(&paid), [11]);
    Ok(())
}

#[tokio::test]
async fn its_pages_can_be_followed_to_the_last_by_cursor_and_by_link() -> Result<()> {
    let api = with_fifty_orders().await?;
    for query in ["limit=7", "limit=3&status=paid&status=cancelled", "limit=1&status=shipped"] {
        let (mut by_cursor, mut by_link) = (Vec::new(), Vec::new());
        let mut next = Some(format!("/orders?{query}"));
        while let Some(path) = next.take() {
            let list = page(&api, &path).await?;
            by_cursor.push(numbers(&list));
            next = cursor(&list).map(|cursor| format!("/orders?{query}&cursor={cursor}"));
        }
        let mut next = Some(format!("/orders?{query}"));
        while let Some(path) = next.take() {
            let response = api.get(&path).await?.error_for_status()?;
            let link = response.headers().get("link").map(|link| link.to_str()).transpose()?;
            let link = link.map(|link| link.strip_prefix('<')?.strip_suffix(">; rel=\"next\""));
            next = link.map(|link| link.context("not a link").map(str::to_owned)).transpose()?;
            by_link.push(numbers(&response.json().await?));
        }
        let statuses: Vec<_> = STATUSES.into_iter().filter(|status| query.contains(status)).collect();
        let expected = newest_first(|number| statuses.is_empty() || has_status(number, &statuses));
        assert_eq!(by_cursor.concat(), expected, "{query}");
        assert_eq!(by_link, by_cursor, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn each_order_is_shown_once_while_orders_are_placed_and_change_their_status() -> Result<()> {
    let api = with_fifty_orders().await?;
    let session = api.database.connect().await?;
    let (mut shown, mut path) = (BTreeMap::<i64, i32>::new(), Some("/orders?limit=4".to_owned()));
    let mut number = 1_000;
    while let Some(current) = path.take() {
        let list: Value = page(&api, &current).await?;
        for number in numbers(&list) {
            *shown.entry(number).or_default() += 1;
        }
        number += 1;
        api.insert(&[(number, "alice", number % 30)]).await?;
        // Every order moves to the next status, and so to another scan.
        let change =
            "UPDATE order_summary SET status = (ARRAY['paid', 'shipped', 'delivered', 'cancelled', 'placed'])
            [array_position(ARRAY['placed', 'paid', 'shipped', 'delivered', 'cancelled'], status)]";
        session.batch_execute(change).await?;
        path = cursor(&list).map(|cursor| format!("/orders?limit=4&cursor={cursor}"));
    }
    assert!((1..=50).all(|number| shown.get(&number) == Some(&1)), "{shown:?}");
    assert!(shown.values().all(|times| *times == 1), "{shown:?}");
    Ok(())
}
