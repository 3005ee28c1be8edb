//! More customers need snapshots than one poll reads: they are served in turn.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use chrono::DateTime;
use read_api::live::{Live, News};
use read_api::model::{History, OrderStatus, OrderSummary, ReadPosition};
use read_api::port::{Change, OrderWatch, QueryError, Read};
use service_kit::tasks::CriticalTasks;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// More than one poll reads of all customers: all of them need a snapshot after each.
const TOO_MANY: usize = 50_001;

/// A table in which that much changes all the time, of a customer whom nobody watches.
#[derive(Clone, Default)]
struct BusyTable {
    /// How many snapshots were read of each customer.
    read: Arc<Mutex<HashMap<String, usize>>>,
}

fn position() -> ReadPosition {
    ReadPosition::new(History { system: 1, timeline: 1 }, 10, Vec::new())
}

fn summary() -> OrderSummary {
    OrderSummary {
        order_id: Uuid::from_u128(1),
        customer_id: "somebody else".into(),
        status: OrderStatus::Placed.as_str().into(),
        version: 1,
        total_cents: 1,
        item_count: 1,
        last_item_sku: "SKU".to_owned(),
        placed_at: DateTime::UNIX_EPOCH,
    }
}

impl OrderWatch for BusyTable {
    async fn find_all(&self, _: Vec<Uuid>) -> Result<Vec<OrderSummary>, QueryError> {
        unreachable!("nobody waits for a version")
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

    async fn changes_of(&self, _: &str, _: i64, _: usize) -> Result<Read<Vec<OrderSummary>>, QueryError> {
        unreachable!("nobody comes back")
    }

    async fn changes(
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
async fn subscribers_that_need_snapshots_are_served_in_turn() -> Result<()> {
    const STREAMS: usize = 150;
    let table = BusyTable::default();
    let tasks = CriticalTasks::new(CancellationToken::new());
    // As long as the pause between two snapshots in one stream: after each tick the first ones need one again.
    let live = Live::start(Arc::new(table.clone()), Duration::from_secs(1), STREAMS, &tasks);
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        streams.push(live.subscribe(format!("customer {number}"), None).await?.then);
    }
    let readers = streams.into_iter().map(|mut stream| async move {
        // The ones that come in the stream, after the first one.
        let mut snapshots = 0;
        while snapshots < 2 {
            let Some(delivery) = stream.recv().await else { break };
            let events = delivery.into_events();
            snapshots += events.filter(|event| matches!(event.news, News::Snapshot(_))).count();
        }
        snapshots
    });
    let all = tokio::time::timeout(Duration::from_secs(20), futures_util::future::join_all(readers)).await;
    let read = table.read.lock().map(|read| read.clone()).unwrap_or_default();
    let most = read.values().max().copied().unwrap_or_default();
    let starved = read.values().filter(|count| **count < 3).count();
    assert!(all.is_ok(), "{starved} of {STREAMS} got none, or one, while another got {most}");
    Ok(())
}
