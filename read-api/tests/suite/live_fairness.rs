//! More customers need snapshots than one poll reads: each gets its snapshot.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use chrono::DateTime;
use read_api::live::{EventData, Live};
use read_api::model::{History, OrderDetail, OrderStatus, OrderSummary, ReadPosition, WantedVersion};
use read_api::port::{Change, OrderWatch, QueryError, Read};
use service_kit::tasks::CriticalTasks;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// More changes than one poll reads: after each poll, all subscribers need a snapshot.
const TOO_MANY: usize = 50_001;

/// A table with that many changes at each poll, all of a customer without streams.
#[derive(Clone, Default)]
struct BusyTable {
    /// The number of snapshots read, by customer.
    read: Arc<Mutex<HashMap<String, usize>>>,
}

fn position() -> ReadPosition {
    ReadPosition::new(History { system: 1, timeline: 1 }, 10, Vec::new())
}

fn summary() -> OrderSummary {
    OrderSummary {
        order_id: Uuid::from_u128(1),
        customer_id: "another customer".into(),
        status: OrderStatus::Placed.as_str().into(),
        version: 1,
        currency: None,
        total_cents: 1,
        item_count: 1,
        last_item_sku: "SKU".to_owned(),
        placed_at: DateTime::UNIX_EPOCH,
    }
}

impl OrderWatch for BusyTable {
    async fn reached(&self, _: Vec<WantedVersion>) -> Result<Vec<OrderDetail>, QueryError> {
        unreachable!("no request waits for a version")
    }

    async fn newest(
        &self,
        customers: Vec<String>,
        _: u8,
    ) -> Result<Read<Vec<Vec<OrderSummary>>>, QueryError> {
        let found = vec![Vec::new(); customers.len()];
        if let Ok(mut read) = self.read.lock() {
            for customer in customers {
                *read.entry(customer).or_default() += 1;
            }
        }
        Ok(Read { position: position(), found })
    }

    async fn changes_of_customer(
        &self,
        _: &str,
        _: i64,
        _: usize,
    ) -> Result<Read<Vec<OrderSummary>>, QueryError> {
        unreachable!("no client resumes")
    }

    async fn changes_of_customers(
        &self,
        _: Vec<String>,
        _: Vec<Range<i64>>,
        _: usize,
    ) -> Result<Read<Vec<Change>>, QueryError> {
        let change = Change { transaction: 1, order: summary() };
        Ok(Read { position: position(), found: vec![change; TOO_MANY] })
    }
}

#[tokio::test(start_paused = true)]
async fn no_subscriber_starves_while_others_need_snapshots_again() -> Result<()> {
    const STREAMS: usize = 150;
    let table = BusyTable::default();
    let tasks = CriticalTasks::new(CancellationToken::new());
    // The same as the pause between two snapshots in one stream: at each poll the first subscribers need a snapshot
    // again.
    let live = Live::start(Arc::new(table.clone()), Duration::from_secs(1), STREAMS, &tasks);
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        streams.push(live.subscribe(format!("customer {number}"), None).await?.updates);
    }
    let readers = streams.into_iter().map(|mut stream| async move {
        // Those after the first one, which opens the stream.
        let mut snapshots = 0;
        while snapshots < 2 {
            let Some(delivery) = stream.recv().await else { break };
            let events = delivery.into_events();
            snapshots += events.filter(|event| matches!(event.data, EventData::Snapshot(_))).count();
        }
        snapshots
    });
    let all = tokio::time::timeout(Duration::from_secs(20), futures_util::future::join_all(readers)).await;
    let read = table.read.lock().map(|read| read.clone()).unwrap_or_default();
    let most = read.values().max().copied().unwrap_or_default();
    let starved = read.values().filter(|count| **count < 3).count();
    assert!(all.is_ok(), "{starved} of {STREAMS} got none or one, while another got {most}");
    Ok(())
}
