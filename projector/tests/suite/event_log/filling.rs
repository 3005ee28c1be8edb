//! What is logged, and what happens if it cannot be.

use anyhow::Result;
use futures_util::FutureExt;
use projector::batch::{BatchError, BatchOutcome};
use projector::event_log::trigger_runs;
use service_kit::telemetry::chain;

use super::Reader;
use crate::support::{Scene, drain, event};

/// Kind and payload of each event in the log, by position.
async fn logged(scene: &Scene) -> Result<Vec<(String, String)>> {
    let rows = "SELECT kind, payload::text FROM event_log ORDER BY position";
    let rows = scene.session.query(rows, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

#[tokio::test]
async fn applied_parked_and_waiting_events_are_logged_as_they_were_written() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    scene.emit([event(1, 1)]).await?;
    drain(&worker).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute("SELECT FROM order_summary FOR UPDATE", &[]).await?;

    scene.emit([event(1, 2), event(2, 1)]).await?;
    let odd = r#"{ "b" : 1, "a": "\u0000", "a":  2 }"#;
    scene.emit_raw("order_gift_wrapped", odd).await?;
    let written = "SELECT kind, payload::text FROM outbox ORDER BY id";
    let written = scene.session.query(written, &[]).await?;
    let mut expected = vec![logged(&scene).await?.remove(0)];
    expected.extend(written.iter().map(|row| (row.get(0), row.get(1))));
    let outcome = worker.run_once().await?;
    assert_eq!(outcome, BatchOutcome::Committed { applied: 1, parked: 1, waiting: 1 });
    assert_eq!(logged(&scene).await?, expected);
    assert_eq!(expected.last().map(|(_, payload)| payload.as_str()), Some(odd));

    lock.rollback().await?;
    drain(&worker).await?;
    assert_eq!(logged(&scene).await?.len(), 4, "an event is logged once: when it leaves the outbox");
    Ok(())
}

#[tokio::test]
async fn a_claim_that_is_rolled_back_logs_nothing() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1)]).await?;
    scene.session.batch_execute("BEGIN; DELETE FROM outbox; ROLLBACK").await?;
    assert_eq!(scene.count("event_log").await?, 0);
    scene.session.batch_execute("DELETE FROM outbox").await?;
    assert_eq!(scene.count("event_log").await?, 1, "by whichever program it is deleted");
    Ok(())
}

#[tokio::test]
async fn without_a_partition_nothing_is_claimed_until_there_is_one() -> Result<()> {
    let scene = Scene::create().await?;
    let drop_all = "DO $$ DECLARE name regclass; BEGIN
        FOR name IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'event_log'::regclass LOOP
            EXECUTE format('DROP TABLE %s', name);
        END LOOP; END $$";
    scene.session.batch_execute(drop_all).await?;
    scene.emit([event(1, 1)]).await?;
    let worker = scene.worker(10)?;
    let error = worker.run_once().await.unwrap_err();
    assert!(matches!(error, BatchError::Database(_)), "{error:?}");
    assert!(chain(&error).contains("no partition of relation \"event_log\""), "{}", chain(&error));
    assert_eq!((scene.count("outbox").await?, scene.count("order_summary").await?), (1, 0));
    assert_eq!(scene.count("parked_events").await?, 0, "it is not the event's fault");

    // As every projector does every ten seconds.
    scene
        .session
        .batch_execute("SET ROLE orders_projector; SELECT create_event_log_partitions(); RESET ROLE")
        .await?;
    assert_eq!(drain(&worker).await?, (1, 0));
    assert_eq!(scene.count("event_log").await?, 1);
    Ok(())
}

/// Switches the trigger off and on again for the projector.
const TRIGGER: [(&str, &str); 3] = [
    ("ALTER TABLE outbox DISABLE TRIGGER USER", "ALTER TABLE outbox ENABLE TRIGGER USER"),
    (
        "ALTER TABLE outbox ENABLE REPLICA TRIGGER log_deleted_events",
        "ALTER TABLE outbox ENABLE TRIGGER log_deleted_events",
    ),
    (
        "DO $$ BEGIN EXECUTE format('ALTER ROLE orders_projector IN DATABASE %I SET session_replication_role = replica',
             current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('ALTER ROLE orders_projector IN DATABASE %I RESET session_replication_role',
             current_database()); END $$",
    ),
];

/// In a new session of the projector.
async fn runs(scene: &Scene) -> Result<bool> {
    Ok(scene.open()?.read(|connection| trigger_runs(connection).boxed()).await?)
}

#[tokio::test]
async fn while_the_trigger_does_not_run_nothing_is_claimed() -> Result<()> {
    let scene = Scene::create().await?;
    for (logged, (off, on)) in (1..).zip(TRIGGER) {
        scene.session.batch_execute(off).await?;
        scene.emit([event(u128::try_from(logged)?, 1)]).await?;
        assert_eq!(scene.worker(10)?.run_once().await?, BatchOutcome::Empty, "{off}");
        assert_eq!(scene.count("outbox").await?, 1, "{off}");
        assert!(!runs(&scene).await?, "{off}");
        scene.session.batch_execute(on).await?;
        assert_eq!(drain(&*scene.worker(10)?).await?, (1, 0), "{on}");
        assert_eq!(scene.count("event_log").await?, logged, "{on}");
        assert!(runs(&scene).await?, "{on}");
    }
    // It runs in each session then.
    let [(_, _), (_, _), (replica, _)] = TRIGGER;
    scene.session.batch_execute(replica).await?;
    scene.session.batch_execute("ALTER TABLE outbox ENABLE ALWAYS TRIGGER log_deleted_events").await?;
    assert!(runs(&scene).await?);
    scene.emit([event(4, 1)]).await?;
    assert_eq!(drain(&*scene.worker(10)?).await?, (1, 0));
    assert_eq!(scene.count("event_log").await?, 4);
    Ok(())
}

/// Inserts an event with this id, as only an operator can.
async fn insert_by_hand(scene: &Scene, id: i64, order: u128) -> Result<()> {
    let encoded = event(order, 1).encode()?;
    let insert =
        "INSERT INTO outbox (id, kind, payload) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3::text::json)";
    scene.session.execute(insert, &[&id, &encoded.kind, &encoded.payload]).await?;
    Ok(())
}

/// Five events are logged and read, and all ids are settled.
async fn five_settled() -> Result<(Scene, Reader)> {
    let (scene, reader) = five_read().await?;
    super::publish(&scene, 6).await?;
    Ok((scene, reader))
}

/// Five events are logged and read.
async fn five_read() -> Result<(Scene, Reader)> {
    let scene = Scene::create().await?;
    scene.emit((1..=5).map(|order| event(order, 1))).await?;
    drain(&*scene.worker(10)?).await?;
    let mut reader = Reader::at_start(&scene)?;
    assert_eq!(reader.positions().await?.0, [1, 2, 3, 4, 5]);
    Ok((scene, reader))
}

#[tokio::test]
async fn an_event_that_comes_below_the_settled_ids_is_logged_behind_them() -> Result<()> {
    let (scene, mut reader) = five_settled().await?;
    insert_by_hand(&scene, 2, 6).await?;
    insert_by_hand(&scene, 3, 7).await?;
    scene.emit([event(8, 1)]).await?;
    assert_eq!(drain(&*scene.worker(10)?).await?, (3, 0));
    assert_eq!(reader.positions().await?, (vec![6, 7, 8], None), "6 was the id of the last event");
    Ok(())
}

/// Else all readers would wait for the ids before it, and those that begin behind it would miss them.
#[tokio::test]
async fn an_event_with_an_id_that_was_never_allocated_is_logged_in_its_turn() -> Result<()> {
    let (scene, mut reader) = five_settled().await?;
    insert_by_hand(&scene, 10_000_000, 6).await?;
    scene.emit([event(7, 1)]).await?;
    assert_eq!(drain(&*scene.worker(10)?).await?, (2, 0));
    scene.emit([event(8, 1)]).await?;
    assert_eq!(drain(&*scene.worker(10)?).await?, (1, 0));
    assert_eq!(reader.positions().await?, (vec![6, 7, 8], None));
    Ok(())
}

#[tokio::test]
async fn events_of_a_sequence_that_was_set_back_are_logged_behind_all_others() -> Result<()> {
    let (scene, mut reader) = five_settled().await?;
    scene.session.batch_execute("SELECT setval('outbox_id_seq', 2)").await?;
    scene.emit([event(6, 1), event(7, 1)]).await?;
    assert_eq!(drain(&*scene.worker(10)?).await?, (2, 0));
    scene.emit([event(8, 1)]).await?;
    assert_eq!(drain(&*scene.worker(10)?).await?, (1, 0));
    assert_eq!(reader.positions().await?, (vec![6, 7, 8], None), "it was set forward again");
    Ok(())
}

/// Else a reader would skip the second event of a position: it has passed the first.
#[tokio::test]
async fn an_id_that_was_used_before_is_logged_under_a_new_position_although_nothing_is_settled() -> Result<()>
{
    let (scene, mut reader) = five_read().await?;
    scene.session.batch_execute("SELECT setval('outbox_id_seq', 3)").await?;
    // They get the ids 4 to 7.
    scene.emit((6..=9).map(|order| event(order, 1))).await?;
    assert_eq!(drain(&*scene.worker(10)?).await?, (4, 0));
    let positions = reader.positions().await?.0;
    assert_eq!(positions, [6, 7, 8, 9], "6 and 7 were not used before");
    insert_by_hand(&scene, 1, 10).await?;
    assert_eq!(drain(&*scene.worker(10)?).await?, (1, 0));
    assert_eq!(reader.positions().await?, (vec![10], None));
    Ok(())
}

#[tokio::test]
async fn events_that_are_committed_late_keep_their_positions_among_those_that_are_logged() -> Result<()> {
    let scene = Scene::create().await?;
    let mut reader = Reader::at_start(&scene)?;
    scene.emit((1..=6).map(|order| event(order, 1))).await?;
    // As batches of two workers, of which each has skipped what the other had locked.
    for ids in ["2, 3, 5", "1, 4, 6"] {
        scene.session.batch_execute(&format!("DELETE FROM outbox WHERE id IN ({ids})")).await?;
    }
    assert_eq!(reader.positions().await?, (vec![1, 2, 3, 4, 5, 6], None));
    Ok(())
}

/// A position of the old history that is beyond its end must not look valid, because another worker was faster.
#[tokio::test]
async fn after_a_failover_no_event_is_logged_before_it_is_recorded_where_the_old_history_ended() -> Result<()>
{
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    scene.emit([event(1, 1)]).await?;
    drain(&worker).await?;
    scene.session.batch_execute("UPDATE event_log_state SET history = history - 1").await?;
    scene.emit((2..=20).map(|order| event(order, 1))).await?;
    let mut slow = scene.database.connect().await?;
    let slow = slow.transaction().await?;
    slow.execute("DELETE FROM outbox WHERE id <= 10", &[]).await?;
    let error = worker.run_once().await.unwrap_err();
    assert!(chain(&error).contains("lock timeout"), "{}", chain(&error));
    // Nothing has changed: the next one records it.
    slow.rollback().await?;
    drain(&worker).await?;

    let histories =
        "SELECT history = current_history(), after_position FROM event_log_histories ORDER BY number";
    let rows = scene.session.query(histories, &[]).await?;
    let rows: Vec<(bool, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows, [(true, 0), (true, 1)]);
    assert_eq!(scene.count("event_log").await?, 20);
    Ok(())
}
