//! Streams over simulated servers: replication that lags, failovers that lose orders, transaction ids that are used
//! again. In the end, every client knows exactly what the database holds.

#![allow(clippy::indexing_slicing, reason = "A wrong simulation may panic.")]

mod cluster;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::DateTime;
use proptest::prelude::*;
use read_api::live::{Delivery, EventData, Live, Subscription};
use read_api::model::{OrderDetail, OrderStatus, OrderSummary, ResumePoint, WantedVersion};
use read_api::port::{Change, OrderWatch, QueryError, Read};
use service_kit::tasks::CriticalTasks;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::cluster::{Cluster, Step, Stored, step};

const LIVE_POLL: Duration = Duration::from_millis(10);

#[derive(Clone)]
struct Simulation(Arc<Mutex<Cluster>>);

impl Simulation {
    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn summary(order: u8, stored: Stored) -> OrderSummary {
    OrderSummary {
        order_id: Uuid::from_u128(order.into()),
        customer_id: "alice".into(),
        status: OrderStatus::Placed.as_str().into(),
        version: stored.version,
        currency: None,
        total_cents: 1,
        item_count: 1,
        last_item_sku: "SKU".to_owned(),
        placed_at: DateTime::UNIX_EPOCH,
    }
}

impl OrderWatch for Simulation {
    async fn reached(&self, _: Vec<WantedVersion>) -> Result<Vec<OrderDetail>, QueryError> {
        unreachable!("no request waits for a version")
    }

    async fn newest(
        &self,
        customers: Vec<String>,
        _: u8,
    ) -> Result<Read<Vec<Vec<OrderSummary>>>, QueryError> {
        let (server, position) = self.lock().read();
        let orders: Vec<_> =
            server.orders.into_iter().map(|(order, stored)| summary(order, stored)).collect();
        Ok(Read { position, found: vec![orders; customers.len()] })
    }

    async fn changes_of_customer(
        &self,
        _: &str,
        first_unseen: i64,
        _: usize,
    ) -> Result<Read<Vec<OrderSummary>>, QueryError> {
        let (server, position) = self.lock().read();
        let changed = server.orders.into_iter().filter(|(_, stored)| stored.transaction >= first_unseen);
        Ok(Read { position, found: changed.map(|(order, stored)| summary(order, stored)).collect() })
    }

    async fn changes_of_customers(
        &self,
        _: Vec<String>,
        transactions: Vec<Range<i64>>,
        _: usize,
    ) -> Result<Read<Vec<Change>>, QueryError> {
        let (server, position) = self.lock().read();
        let is_wanted =
            |stored: &Stored| transactions.iter().any(|range| range.contains(&stored.transaction));
        let changed = server.orders.into_iter().filter(|(_, stored)| is_wanted(stored));
        let change = |(order, stored): (u8, Stored)| Change {
            transaction: stored.transaction,
            order: summary(order, stored),
        };
        Ok(Read { position, found: changed.map(change).collect() })
    }
}

/// A client, which keeps the highest version of each order since the last snapshot.
struct Client {
    subscription: Subscription,
    known: BTreeMap<Uuid, i32>,
    last: Option<ResumePoint>,
}

impl Client {
    async fn start(live: &Live<Simulation>) -> Result<Self> {
        let subscription = live.subscribe("alice".to_owned(), None).await?;
        let mut client = Self { subscription, known: BTreeMap::new(), last: None };
        client.take_first();
        Ok(client)
    }

    fn take_first(&mut self) {
        for delivery in std::mem::take(&mut self.subscription.initial) {
            self.take(delivery);
        }
    }

    fn take(&mut self, delivery: Delivery) {
        for event in delivery.into_events() {
            self.last = Some(event.resume_point);
            match event.data {
                EventData::Snapshot(orders) => {
                    self.known = orders.iter().map(|order| (order.order_id, order.version)).collect();
                }
                EventData::Order(order) => {
                    let known = self.known.entry(order.order_id).or_default();
                    *known = order.version.max(*known);
                }
                EventData::Heartbeat => {}
            }
        }
    }

    fn read(&mut self) -> Result<()> {
        loop {
            match self.subscription.updates.try_recv() {
                Ok(delivery) => self.take(delivery),
                Err(tokio::sync::mpsc::error::TryRecvError::Empty) => return Ok(()),
                Err(error) => return Err(error).context("the stream has ended"),
            }
        }
    }

    /// Reconnects with the last id.
    async fn reconnect(&mut self, live: &Live<Simulation>) -> Result<()> {
        self.subscription = live.subscribe("alice".to_owned(), self.last).await?;
        self.take_first();
        Ok(())
    }
}

async fn run(steps: &[Step]) -> Result<()> {
    let simulation = Simulation(Arc::new(Mutex::new(Cluster::new())));
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let live = Live::start(Arc::new(simulation.clone()), LIVE_POLL, 10, &CriticalTasks::new(stop));
    let mut steady = Client::start(&live).await?;
    let mut hopping = Client::start(&live).await?;
    let mut away = Client::start(&live).await?;
    for (number, step) in steps.iter().enumerate() {
        simulation.lock().apply(step);
        if number % 3 == 0 {
            tokio::time::sleep(LIVE_POLL).await;
        }
        steady.read()?;
        hopping.read()?;
        if number % 5 == 0 {
            hopping.reconnect(&live).await?;
        }
        if 2 * number < steps.len() {
            away.read()?;
        }
    }
    // All transactions end, one more order is written, and the standbys catch up.
    let finish = |simulation: &Simulation| {
        let mut cluster = simulation.lock();
        while !cluster.pending.is_empty() {
            cluster.apply(&Step::End { which: 0, commit: true });
        }
        cluster.apply(&Step::Begin(7));
        cluster.apply(&Step::End { which: 0, commit: true });
        cluster.replayed = [cluster.log.len() - 1; 2];
        cluster.newest().orders
    };
    let stored = finish(&simulation);
    away.reconnect(&live).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    steady.read()?;
    hopping.read()?;
    away.read()?;
    let stored: BTreeMap<_, _> =
        stored.into_iter().map(|(order, stored)| (Uuid::from_u128(order.into()), stored.version)).collect();
    assert_eq!(steady.known, stored, "the client with one stream");
    assert_eq!(hopping.known, stored, "the client that reconnected repeatedly");
    assert_eq!(away.known, stored, "the client that reconnected at the end");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn clients_end_up_with_the_content_of_the_database_despite_lag_and_failovers(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(&steps)));
        prop_assert!(result.is_ok(), "{result:?}");
    }
}
