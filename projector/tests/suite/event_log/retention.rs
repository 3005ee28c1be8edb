//! How long events are kept, and how a reader learns that it has lost some.

use anyhow::{Context, Result};
use tokio::process::Command;

use super::Reader;
use crate::support::{Scene, drain, event};

/// Adds a partition for the day `days` ago, with one event at this position.
async fn log_in_the_past(scene: &Scene, days: i32, position: i64) -> Result<()> {
    let add = format!(
        "DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date - {days};
         BEGIN
             EXECUTE format('CREATE TABLE %I PARTITION OF event_log FOR VALUES FROM (%L) TO (%L)',
                 'event_log_' || to_char(day, 'YYYYMMDD'), day::timestamp AT TIME ZONE 'UTC',
                 (day + 1)::timestamp AT TIME ZONE 'UTC');
             INSERT INTO event_log VALUES ({position}, 'order_placed', '{{}}', NULL, day::timestamp AT TIME ZONE 'UTC');
         END $$"
    );
    Ok(scene.session.batch_execute(&add).await?)
}

async fn drop_expired(scene: &Scene) -> Result<i32> {
    let drop = "SELECT drop_expired_event_log_partition()";
    Ok(scene.database.connect_as("orders_projector").await?.query_one(drop, &[]).await?.get(0))
}

async fn a_minute_passes(scene: &Scene) -> Result<()> {
    let pass = "UPDATE event_log_state 
                SET missing_since = missing_since - interval '61 seconds',
                    drop_tried_at = drop_tried_at - interval '61 seconds'";
    Ok(scene.session.batch_execute(pass).await?)
}

#[tokio::test]
async fn an_expired_partition_is_announced_a_minute_before_it_is_dropped() -> Result<()> {
    let scene = Scene::create().await?;
    log_in_the_past(&scene, 9, 41).await?;
    log_in_the_past(&scene, 8, 42).await?;
    log_in_the_past(&scene, 7, 43).await?;
    let mut reader = Reader::at_start(&scene)?;
    let has_lost = async |reader: &mut Reader, after| {
        reader.after = after;
        anyhow::Ok(reader.read().await?.has_lost(after))
    };
    a_minute_passes(&scene).await?;
    assert_eq!(drop_expired(&scene).await?, 0);
    assert!(has_lost(&mut reader, 40).await?, "announced");
    assert!(!has_lost(&mut reader, 41).await?);
    assert_eq!((drop_expired(&scene).await?, scene.count("event_log").await?), (0, 3), "too early");
    a_minute_passes(&scene).await?;
    assert_eq!((drop_expired(&scene).await?, scene.count("event_log").await?), (1, 2));
    assert_eq!(drop_expired(&scene).await?, 0);
    assert!(has_lost(&mut reader, 41).await?, "the next one is announced");
    a_minute_passes(&scene).await?;
    assert_eq!(drop_expired(&scene).await?, 1);
    a_minute_passes(&scene).await?;
    assert_eq!(drop_expired(&scene).await?, 0, "seven days are kept, and today's");
    assert!(!has_lost(&mut reader, 42).await?);
    Ok(())
}

#[tokio::test]
async fn a_partition_in_use_is_dropped_later_and_no_claim_fails_because_of_that() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(1)?;
    log_in_the_past(&scene, 8, 42).await?;
    drop_expired(&scene).await?;
    let mut holder = scene.database.connect().await?;
    let reading = holder.transaction().await?;
    reading.query("SELECT count(*) FROM event_log", &[]).await?;
    let claims = async {
        for order in 1..=30 {
            scene.emit([event(order, 1)]).await?;
            assert_eq!(drain(&worker).await?, (1, 0));
        }
        anyhow::Ok(())
    };
    let drops = async {
        for _ in 0..5 {
            a_minute_passes(&scene).await?;
            assert_eq!(drop_expired(&scene).await?, 0);
        }
        anyhow::Ok(())
    };
    tokio::try_join!(claims, drops)?;
    assert_eq!(scene.count("event_log WHERE position = 42").await?, 1);
    reading.commit().await?;
    assert_eq!(drop_expired(&scene).await?, 0, "once a minute");
    a_minute_passes(&scene).await?;
    assert_eq!(drop_expired(&scene).await?, 1);
    Ok(())
}

#[tokio::test]
async fn partitions_are_there_for_yesterday_and_seven_days_ahead() -> Result<()> {
    let scene = Scene::create().await?;
    let days = "SELECT to_date(right(relname, 8), 'YYYYMMDD') - (now() AT TIME ZONE 'UTC')::date
                FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                WHERE inhparent = 'event_log'::regclass ORDER BY 1";
    let rows = scene.session.query(days, &[]).await?;
    let found: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    // The template may have been made just before midnight.
    let from = *found.first().context("no partition")?;
    assert_eq!(found, (from..from + 9).collect::<Vec<_>>());
    assert!([-2, -1].contains(&from), "{from}");
    Ok(())
}

async fn projector_log(scene: &Scene, arguments: &[&str]) -> Result<(bool, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_projector"));
    command.env("DATABASE_URL", scene.database.url("orders_projector")).arg("log").args(arguments);
    let output = command.output().await?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(text)?))
}

#[tokio::test]
async fn an_operator_switches_the_log_off_and_on_and_readers_know_what_is_missing() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    let mut reader = Reader::at_start(&scene)?;
    scene.emit([event(1, 1)]).await?;
    drain(&worker).await?;
    let (ok, shown) = projector_log(&scene, &["show"]).await?;
    assert!(ok && shown.contains("kept for 7 days\noldest position 1, newest 1"), "{shown}");

    let (ok, shown) = projector_log(&scene, &["retention", "--days", "0", "--json"]).await?;
    assert!(ok, "{shown}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown)?["missing_up_to"], serde_json::Value::Null);
    scene.emit([event(2, 1)]).await?;
    drain(&worker).await?;
    assert_eq!(scene.count("event_log").await?, 1);
    assert!(reader.read().await?.has_lost(i64::MAX - 1), "every reader has lost events");

    let (ok, shown) = projector_log(&scene, &["retention", "--days", "30"]).await?;
    assert!(
        ok && shown.contains("kept for 30 days") && shown.contains("complete after position 2"),
        "{shown}"
    );
    scene.emit([event(3, 1)]).await?;
    drain(&worker).await?;
    reader.after = 2;
    let read = reader.read().await?;
    assert_eq!((read.events.len(), read.has_lost(1), read.has_lost(2)), (1, true, false));
    Ok(())
}

#[tokio::test]
async fn a_bad_retention_names_the_option() -> Result<()> {
    let scene = Scene::create().await?;
    for bad in ["91", "-1", "a week"] {
        let (ok, shown) = projector_log(&scene, &["retention", &format!("--days={bad}")]).await?;
        assert!(!ok && shown.contains("--days"), "{bad}: {shown}");
    }
    Ok(())
}

#[tokio::test]
async fn the_log_is_not_switched_while_a_transaction_writes_events() -> Result<()> {
    let scene = Scene::create().await?;
    let mut writer = scene.database.connect().await?;
    let writing = writer.transaction().await?;
    writing.execute("INSERT INTO outbox (kind, payload) VALUES ('k', '{}')", &[]).await?;
    let session = scene.database.connect_as("orders_projector").await?;
    let error = session.batch_execute("SELECT set_event_log_retention(0)").await.unwrap_err();
    assert!(format!("{error:?}").contains("could not obtain lock"), "{error:?}");
    session.batch_execute("SELECT set_event_log_retention(8)").await?;
    writing.rollback().await?;
    session.batch_execute("SELECT set_event_log_retention(0)").await?;
    Ok(())
}
