//! What customers do while replicas come and go.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use http::StatusCode;
use testkit::load::Load;
use testkit::wait;
use uuid::Uuid;

use super::shop::Shop;

const CLIENTS: usize = 4;
/// Leaves CPU time to what is restarted.
const PAUSE: Duration = Duration::from_millis(10);
const SOON: Duration = Duration::from_mins(1);

/// Requests that run until this is dropped.
pub(crate) struct Traffic {
    orders: Arc<Orders>,
    writes: Load,
    reads: Load,
}

#[derive(Default)]
struct Orders {
    /// What write-api has said to be stored.
    acknowledged: Mutex<Vec<Uuid>>,
    /// Attempts to place an order that were not acknowledged. Each was made again.
    failures: Mutex<Vec<String>>,
}

impl Traffic {
    pub(crate) fn start(shop: &Shop, customer: &'static str) -> Self {
        let orders = Arc::<Orders>::default();
        let writes = Load::start((0..CLIENTS).map(|_| {
            let (shop, orders) = (shop.clone(), Arc::clone(&orders));
            move || place(shop.clone(), customer, Arc::clone(&orders))
        }));
        let reads = Load::start((0..CLIENTS).map(|_| {
            let shop = shop.clone();
            move || read(shop.clone(), customer)
        }));
        Self { orders, writes, reads }
    }

    /// Waits until both sides have answered often since this call.
    pub(crate) async fn until_more(&self, requests: u64) -> Result<()> {
        self.writes.until_more(requests).await?;
        self.reads.until_more(requests).await
    }

    /// Checks that no read has failed.
    pub(crate) fn no_read_lost(&self) -> Result<()> {
        self.reads.check(&[])
    }

    /// Checks that no attempt to place an order has failed either.
    pub(crate) fn nothing_failed(&self) -> Result<()> {
        let failures = lock(&self.orders.failures);
        ensure!(
            failures.is_empty(),
            "{} orders failed at first, such as: {:?}",
            failures.len(),
            failures.first()
        );
        self.no_read_lost()
    }

    /// Stops, and returns every order that was acknowledged.
    pub(crate) fn stop(self) -> Vec<Uuid> {
        let acknowledged = lock(&self.orders.acknowledged).clone();
        println!(
            "{} orders ({} attempts failed), {} lists",
            acknowledged.len(),
            lock(&self.orders.failures).len(),
            self.reads.succeeded()
        );
        acknowledged
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends the order until it is acknowledged, as a checkout does.
async fn place(shop: Shop, customer: &str, orders: Arc<Orders>) -> Result<()> {
    let order = Uuid::new_v4();
    loop {
        tokio::time::sleep(PAUSE).await;
        let failure = match shop.place(order, customer).await {
            Ok(answer) if answer.status.is_success() => break,
            Ok(answer) => format!("{}: {}", answer.status, answer.body),
            Err(error) => format!("{error:#}"),
        };
        lock(&orders.failures).push(failure);
    }
    lock(&orders.acknowledged).push(order);
    Ok(())
}

async fn read(shop: Shop, customer: &str) -> Result<()> {
    tokio::time::sleep(PAUSE).await;
    shop.get(&format!("/customers/{customer}/orders")).await?.expect(StatusCode::OK)?;
    Ok(())
}

/// Waits until read-api has each of the orders.
pub(crate) async fn until_all_are_visible(shop: &Shop, orders: &[Uuid]) -> Result<()> {
    for order in orders {
        let path = format!("/orders/{order}");
        wait::until("an acknowledged order to be visible", SOON, || async {
            match shop.get(&path).await {
                Ok(answer) if answer.status == StatusCode::OK => Ok(()),
                other => Err(format!("{order}: {other:?}")),
            }
        })
        .await?;
    }
    Ok(())
}
