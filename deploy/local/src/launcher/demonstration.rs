//! Places, pays, ships and cancels orders with write-api, waits until read-api shows what write-api was
//! told, and prints what the feed and a webhook sent.

mod detail;
mod feed;
mod steps;
mod webhook;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::detail::Detail;
use self::feed::Feed;
use self::steps::STEPS;
use self::webhook::Webhook;
use super::callers::Callers;
use super::print_line;
use testkit::services::Operator;
use testkit::tokens::Role;
use testkit::wait;

pub(super) const CUSTOMER: &str = "alice";

/// Limit for an order to become visible.
const VISIBLE_LIMIT: Duration = Duration::from_secs(10);

const CURRENCY: &str = "EUR";

/// The fields of an order that both APIs return.
#[derive(Debug, PartialEq, Deserialize)]
struct OrderView {
    order_id: String,
    customer_id: String,
    status: String,
    version: i32,
    total_cents: i64,
    item_count: i32,
    placed_at: String,
}

#[derive(Deserialize)]
struct Listed {
    orders: Vec<OrderView>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    sku: Cow<'static, str>,
    quantity: i64,
    price_cents: i64,
}

const BASKETS: [&[Item]; 3] = [
    &[item("TEA-EARL-GREY", 2, 450)],
    &[item("POT-IRON", 1, 5_900), item("CUP-GLASS", 4, 1_150)],
    &[item("TEA-SENCHA", 1, 1_290)],
];

const fn item(sku: &'static str, quantity: i64, price_cents: i64) -> Item {
    Item { sku: Cow::Borrowed(sku), quantity, price_cents }
}

/// The APIs of the services, and the commands of the projector.
pub(super) struct Parts<'a> {
    pub(super) write_url: &'a str,
    pub(super) read_url: &'a str,
    pub(super) projector_url: &'a str,
    pub(super) callers: &'a Callers,
    pub(super) operator: Operator,
}

pub(super) async fn run(parts: Parts<'_>) -> Result<()> {
    let Parts { write_url, read_url, projector_url, callers, operator } = parts;
    let (checkout, customer) = (callers.client(Role::Checkout)?, callers.client(Role::Customer(CUSTOMER))?);
    let feed = Feed::from_now_on(callers.client(Role::Events)?, projector_url).await?;
    let mut webhook = Webhook::from_now_on(operator).await?;
    print_line(&format!(
        "\n{:<36}  {:>11}  {:>10}  {:>13}",
        "order", "total_cents", "placed in", "visible after"
    ))?;
    let mut placed = Vec::new();
    for items in BASKETS {
        let start = Instant::now();
        let order = place(&checkout, write_url, items).await?;
        let (placed_in, placed_at) = (start.elapsed(), Instant::now());
        wait_until_visible(&customer, read_url, &order).await?;
        print_line(&format!(
            "{:<36}  {:>11}  {:>10}  {:>13}",
            order.order_id,
            order.total_cents,
            milliseconds(placed_in),
            milliseconds(placed_at.elapsed())
        ))?;
        if placed.is_empty() {
            webhook.wait_for(&order.order_id).await?;
        }
        placed.push(order);
    }
    let Listed { orders } =
        get(&customer, &format!("{read_url}/customers/{CUSTOMER}/orders?limit=100")).await?;
    ensure!(
        placed.iter().all(|order| orders.contains(order)),
        "the list of {CUSTOMER}'s orders is incomplete: {orders:?}"
    );
    print_line(&format!("{CUSTOMER} has {} orders in the read model", orders.len()))?;

    let mut shown = Vec::new();
    for ((order, items), steps) in placed.iter().zip(BASKETS).zip(STEPS) {
        let placed = Detail::placed(order, items);
        shown.push(steps::take(callers, (write_url, read_url), placed, steps).await?);
    }
    let paid_and_shipped = shown.get(1).context("no such order")?;
    print_line("\nread-api shows of the second one:")?;
    print_line(&paid_and_shipped.to_string())?;
    let (order_id, version) = (&paid_and_shipped.order_id, paid_and_shipped.version);
    print_line("\nthe feed sent of it:")?;
    feed.print(order_id, version).await?;
    print_line("\na webhook's receiver got of it, each so long after it happened:")?;
    webhook.print(order_id, version.into()).await
}

async fn place(client: &Client, write_url: &str, items: &[Item]) -> Result<OrderView> {
    let body = json!({"customer_id": CUSTOMER, "currency": CURRENCY, "items": items});
    let request = client.post(format!("{write_url}/orders")).json(&body);
    let response = request.send().await.context("write-api did not respond")?;
    let status = response.status();
    ensure!(status == StatusCode::CREATED, "write-api returned {status}: {}", response.text().await?);
    let placed: OrderView = response.json().await?;
    let expected: i64 = items.iter().map(|item| item.quantity * item.price_cents).sum();
    ensure!(placed.total_cents == expected, "the total should be {expected}: {placed:?}");
    Ok(placed)
}

/// Waits until read-api returns the same order as write-api.
async fn wait_until_visible(client: &Client, read_url: &str, placed: &OrderView) -> Result<()> {
    let url = format!("{read_url}/orders/{}", placed.order_id);
    wait::until("the order to be visible", VISIBLE_LIMIT, || async {
        let seen: OrderView = get(client, &url).await.map_err(|error| format!("{error:#}"))?;
        if seen == *placed { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await?;
    Ok(())
}

async fn get<T: DeserializeOwned>(client: &Client, url: &str) -> Result<T> {
    Ok(client.get(url).send().await?.error_for_status()?.json().await?)
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}
