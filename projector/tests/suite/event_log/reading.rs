//! Reading by position: without gaps, in order, within limits.

use std::time::Duration;

use anyhow::{Result, ensure};
use projector::event_log::ReadLimits;
use testkit::wait;

use super::{LIMITS, Reader, publish};
use crate::support::{Scene, drain, event};

/// Allocates an id that is never used.
async fn roll_back_one(scene: &Scene) -> Result<()> {
    let insert = "BEGIN; INSERT INTO outbox (kind, payload) VALUES ('order_placed', '{}'); ROLLBACK";
    Ok(scene.session.batch_execute(insert).await?)
}

#[tokio::test]
async fn a_reader_waits_at_a_hole_until_the_ids_in_it_are_settled() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    let mut reader = Reader::at_start(&scene)?;
    scene.emit([event(1, 1)]).await?;
    roll_back_one(&scene).await?;
    scene.emit([event(2, 1)]).await?;
    drain(&worker).await?;
    assert_eq!(reader.positions().await?, (vec![1], Some(2)));
    assert_eq!(reader.positions().await?, (vec![], Some(2)));
    publish(&scene, 3).await?;
    assert_eq!(reader.positions().await?, (vec![3], None));
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_committed_late_comes_before_those_that_were_committed_earlier() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    let mut reader = Reader::at_start(&scene)?;
    let mut late = scene.database.connect().await?;
    let late = late.transaction().await?;
    let encoded = event(1, 1).encode()?;
    let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json)";
    late.execute(insert, &[&encoded.kind, &encoded.payload]).await?;
    scene.emit([event(2, 1)]).await?;
    drain(&worker).await?;
    assert_eq!(reader.positions().await?, (vec![], Some(1)));

    late.commit().await?;
    assert_eq!(reader.positions().await?, (vec![], Some(1)), "it is in the outbox");
    drain(&worker).await?;
    assert_eq!(reader.positions().await?, (vec![1, 2], None));
    Ok(())
}

/// An id that comes late in spite of all rules: the outbox is looked at, too.
#[tokio::test]
async fn a_settled_hole_is_not_passed_while_an_event_in_it_is_in_the_outbox() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    let mut reader = Reader::at_start(&scene)?;
    roll_back_one(&scene).await?;
    scene.emit([event(2, 1)]).await?;
    drain(&worker).await?;
    let encoded = event(1, 1).encode()?;
    let by_hand =
        "INSERT INTO outbox (id, kind, payload) OVERRIDING SYSTEM VALUE VALUES (1, $1, $2::text::json)";
    scene.session.execute(by_hand, &[&encoded.kind, &encoded.payload]).await?;
    publish(&scene, 3).await?;
    assert_eq!(reader.positions().await?, (vec![], Some(1)));

    // Another process, whose low-water mark is not known to be past it.
    drain(&*scene.worker(10)?).await?;
    assert_eq!(reader.positions().await?, (vec![2, 3], None), "it was logged under a fresh position");
    Ok(())
}

#[tokio::test]
async fn a_long_transaction_that_does_not_write_to_the_outbox_delays_no_reader() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    let mut reader = Reader::at_start(&scene)?;
    let mut long = scene.database.connect().await?;
    let long = long.transaction().await?;
    long.execute("CREATE TABLE long (id int)", &[]).await?;
    roll_back_one(&scene).await?;
    scene.emit([event(1, 1)]).await?;
    let settled = wait::until("the ids to be settled", Duration::from_secs(30), async || {
        worker.run_once().await?;
        ensure!(worker.low_water_mark() > 2, "the mark is at {}", worker.low_water_mark());
        anyhow::Ok(())
    });
    settled.await?;
    publish(&scene, worker.low_water_mark()).await?;
    assert_eq!(reader.positions().await?, (vec![2], None));
    long.rollback().await?;
    Ok(())
}

#[tokio::test]
async fn events_are_read_by_position_although_the_clock_was_set_back() -> Result<()> {
    let scene = Scene::create().await?;
    let insert = "INSERT INTO event_log
        SELECT position, 'order_placed', '{}', NULL, now() + days * interval '1 day'
        FROM (VALUES (1, 0), (2, 5), (3, -1), (4, 0), (5, -1)) AS logged (position, days)";
    scene.session.batch_execute(insert).await?;
    assert_eq!(Reader::at_start(&scene)?.positions().await?, (vec![1, 2, 3, 4, 5], None));
    Ok(())
}

#[tokio::test]
async fn a_read_ends_at_a_number_of_events_or_bytes_and_says_that_there_is_more() -> Result<()> {
    let scene = Scene::create().await?;
    for size in [10, 3_000, 10, 10] {
        let payload = format!("\"{}\"", "x".repeat(size));
        scene.emit_raw("order_gift_wrapped", &payload).await?;
    }
    scene.session.batch_execute("DELETE FROM outbox").await?;
    let mut reader = Reader::at_start(&scene)?;
    let mut positions = Vec::new();
    for limits in [
        ReadLimits { bytes: 100, ..LIMITS },
        ReadLimits { bytes: 100, ..LIMITS },
        ReadLimits { events: 1, ..LIMITS },
        ReadLimits { events: 1, ..LIMITS },
        LIMITS,
    ] {
        let read = reader.read_up_to(limits).await?;
        let read_positions: Vec<_> = read.events.iter().map(|event| event.position).collect();
        positions.push((read_positions, read.is_more));
    }
    let expected = [(vec![1], true), (vec![2], true), (vec![3], true), (vec![4], true), (vec![], false)];
    assert_eq!(positions, expected, "an event larger than the limit is read alone");
    Ok(())
}
