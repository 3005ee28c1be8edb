//! Clients that place orders and take them through their lives, sending each request to another write-api.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use testkit::wait;
use tokio_util::task::AbortOnDropHandle;

use super::fleet::Build;
use super::told::Told;

const CLIENTS: usize = 6;

/// Limit for a request with its repeats, and for a number of orders.
const LIMIT: Duration = Duration::from_secs(30);

/// Pause before a request is sent again.
const REPEAT_PAUSE: Duration = Duration::from_millis(20);

/// The steps of an order, each with its details.
const LIVES: [&[(&str, &str)]; 6] = [
    &[],
    &[("pay", "{}")],
    &[("pay", "{}"), ("ship", r#"{"carrier": "DHL", "tracking_number": "JD0146000"}"#)],
    &[("pay", "{}"), ("ship", r#"{"carrier": "UPS"}"#), ("deliver", "{}")],
    &[("pay", "{}"), ("cancel", r#"{"reason": "Out of stock"}"#)],
    &[("cancel", r#"{"reason": "Ordered twice"}"#)],
];

/// A write-api that takes requests.
#[derive(Debug, Clone)]
pub(super) struct WriteApi {
    build: Build,
    url: String,
}

impl WriteApi {
    pub(super) fn new(build: Build, url: &str) -> Self {
        Self { build, url: url.to_owned() }
    }
}

#[derive(Debug)]
struct Shared {
    write_apis: Mutex<Vec<WriteApi>>,
    requests: AtomicUsize,
    orders: AtomicUsize,
    is_over: AtomicBool,
}

pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<AbortOnDropHandle<Result<Vec<Told>>>>,
}

impl Load {
    pub(super) fn start(write_apis: Vec<WriteApi>) -> Self {
        let shared = Arc::new(Shared {
            write_apis: Mutex::new(write_apis),
            requests: AtomicUsize::new(0),
            orders: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let clients = (0..CLIENTS)
            .map(|number| {
                AbortOnDropHandle::new(tokio::spawn(place_orders(format!("c{number}"), Arc::clone(&shared))))
            })
            .collect();
        Self { shared, clients }
    }

    /// From now on, requests go to these, in turn.
    pub(super) fn send_to(&self, write_apis: Vec<WriteApi>) {
        *self.shared.write_apis.lock().unwrap_or_else(PoisonError::into_inner) = write_apis;
    }

    /// Waits until so many further orders are through their lives.
    pub(super) async fn wait_for_orders(&self, more: usize) -> Result<()> {
        let wanted = self.shared.orders.load(Ordering::Relaxed) + more;
        wait::until("orders", LIMIT, || async {
            let orders = self.shared.orders.load(Ordering::Relaxed);
            let ended = self.clients.iter().any(AbortOnDropHandle::is_finished);
            if orders >= wanted || ended { Ok(()) } else { Err(orders) }
        })
        .await?;
        Ok(())
    }

    /// Ends when each client's order is through its life. Returns all orders.
    pub(super) async fn stop(self) -> Result<Vec<Told>> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let told = try_join_all(self.clients).await?.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(told.into_iter().flatten().collect())
    }
}

async fn place_orders(customer: String, shared: Arc<Shared>) -> Result<Vec<Told>> {
    let client = Client::builder().timeout(LIMIT).build()?;
    let mut orders = Vec::new();
    for (number, life) in LIVES.iter().cycle().enumerate() {
        if shared.is_over.load(Ordering::Relaxed) {
            break;
        }
        let mut order = place(&client, &shared, &customer, number).await?;
        for (step, details) in *life {
            let details: Value = serde_json::from_str(details)?;
            let path = format!("/orders/{}/{step}", order.id()?);
            let mut told = Build::Current;
            let response = send(|| {
                let write_api = shared.next()?;
                if write_api.build == Build::Previous {
                    told = Build::Previous;
                }
                Ok(client.post(format!("{}{path}", write_api.url)).json(&details))
            });
            let response = response.await?;
            order.step(&details, &response, told)?;
        }
        orders.push(order);
        shared.orders.fetch_add(1, Ordering::Relaxed);
    }
    Ok(orders)
}

async fn place(client: &Client, shared: &Shared, customer: &str, number: usize) -> Result<Told> {
    let items: Vec<_> = (0..=number % 3)
        .map(|line| json!({"sku": format!("SKU-{line}"), "quantity": line + 1, "price_cents": 450}))
        .collect();
    let request = if number.is_multiple_of(4) {
        json!({"customer_id": customer, "items": items})
    } else {
        json!({"customer_id": customer, "items": items, "currency": "EUR"})
    };
    let placed = send(|| {
        let place = client.post(format!("{}/orders", shared.next()?.url)).json(&request);
        Ok(place.header("idempotency-key", format!("{customer}-{number}")))
    });
    Told::new(&request, &placed.await?)
}

impl Shared {
    fn next(&self) -> Result<WriteApi> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let write_apis = self.write_apis.lock().unwrap_or_else(PoisonError::into_inner);
        let index = number.checked_rem(write_apis.len()).context("no write-api")?;
        write_apis.get(index).cloned().context("no write-api")
    }
}

/// Sends the request that `build` makes until it succeeds, as clients of write-api do.
async fn send(mut build: impl FnMut() -> Result<RequestBuilder>) -> Result<Value> {
    let start = Instant::now();
    loop {
        let response = respond(build()?).await;
        match response {
            Ok((status, text)) if status.is_success() => return Ok(serde_json::from_str(&text)?),
            Ok((status, text)) if !status.is_server_error() => bail!("{status}: {text}"),
            failure if start.elapsed() > LIMIT => bail!("no success: {failure:?}"),
            _ => tokio::time::sleep(REPEAT_PAUSE).await,
        }
    }
}

async fn respond(request: RequestBuilder) -> Result<(StatusCode, String), reqwest::Error> {
    let response = request.send().await?;
    Ok((response.status(), response.text().await?))
}
