//! Clients that read while writers write and roll back, from two projectors in turn.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::support::Feed;
use crate::support::{Scene, event};

const WRITERS: u128 = 4;
const ORDERS_EACH: u128 = 30;
const VERSIONS: i32 = 3;
/// Of all writers.
const EVENTS: usize = 4 * 30 * 3;
const DEADLINE: Duration = Duration::from_mins(1);

/// Places its orders and takes each through its steps. Each step follows the commit of the one before. Before and after
/// each, a transaction is rolled back, and some are open for a while, so that others overtake them.
async fn write(scene: Arc<Scene>, writer: u128) -> Result<()> {
    let session = scene.database.connect().await?;
    let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json)";
    for version in 1..=VERSIONS {
        for order in 0..ORDERS_EACH {
            let event = event(1 + writer * ORDERS_EACH + order, version).encode()?;
            for end in ["ROLLBACK", "COMMIT", "ROLLBACK"] {
                session.batch_execute("BEGIN").await?;
                session.execute(insert, &[&event.kind, &event.payload]).await?;
                if (order + writer).is_multiple_of(5) {
                    session.batch_execute("SELECT pg_sleep(0.003)").await?;
                }
                session.batch_execute(end).await?;
            }
        }
    }
    Ok(())
}

/// Follows the feed, one request at each process in turn, until it has all events.
async fn follow(feeds: Arc<[Feed; 2]>, limit: usize, wait: u64) -> Result<Vec<(String, i64)>> {
    let (mut seen, mut query) = (Vec::new(), format!("limit={limit}"));
    let deadline = Instant::now() + DEADLINE;
    for feed in feeds.iter().cycle() {
        let page = feed.page_within(&query, wait).await?;
        seen.extend(page.versions());
        query = format!("limit={limit}&after={}", page.checkpoint());
        if seen.len() >= EVENTS && page.events().is_empty() || Instant::now() > deadline {
            break;
        }
    }
    Ok(seen)
}

#[tokio::test]
async fn every_client_gets_every_event_once_while_writers_roll_back_and_overtake_each_other() -> Result<()> {
    let scene = Arc::new(Scene::create().await?);
    let start = || Feed::start(&scene, &[("WORKERS", "2"), ("BATCH_MAX", "5")]);
    let feeds = Arc::new([start()?, start()?]);
    let clients =
        [(3, 1), (100, 1), (7, 0)].map(|(limit, wait)| tokio::spawn(follow(Arc::clone(&feeds), limit, wait)));
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(&scene), writer))).collect();
    for writer in writers {
        writer.await??;
    }
    for client in clients {
        let seen = client.await??;
        for order in 1..=WRITERS * ORDERS_EACH {
            let id = crate::support::order_id(order).to_string();
            let versions: Vec<_> =
                seen.iter().filter(|(order, _)| *order == id).map(|(_, version)| *version).collect();
            assert_eq!(versions, [1, 2, 3], "order {order}");
        }
        assert_eq!(seen.len(), EVENTS);
    }
    Ok(())
}
