//! Many events that only PostgreSQL refuses.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use projector::batch::BatchOutcome;
use testkit::services::{Service, ServiceKind};
use testkit::wait;

use crate::parking::{REFUSE_666, refused_by_trigger};
use crate::support::{Scene, drain, event};

/// Counts claims, upserts and controls in sequences, which a rollback does not undo.
const COUNT: &str = "
    CREATE SEQUENCE claims; CREATE SEQUENCE upserts; CREATE SEQUENCE controls;
    CREATE FUNCTION count_in() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN PERFORM nextval(TG_ARGV[0]); RETURN NEW; END $$;
    CREATE TRIGGER count_claim BEFORE DELETE ON outbox FOR EACH STATEMENT EXECUTE FUNCTION count_in('claims');
    CREATE TRIGGER count_upsert BEFORE INSERT ON order_summary FOR EACH STATEMENT EXECUTE FUNCTION count_in('upserts');
    CREATE TRIGGER count_control BEFORE INSERT ON order_summary FOR EACH ROW
        WHEN (NEW.order_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff') EXECUTE FUNCTION count_in('controls')";

async fn counted(scene: &Scene) -> Result<[i64; 3]> {
    let counts = "SELECT (SELECT last_value FROM claims), (SELECT last_value FROM upserts),
                  (SELECT last_value FROM controls)";
    let row = scene.session.query_one(counts, &[]).await?;
    Ok([row.get(0), row.get(1), row.get(2)])
}

#[tokio::test]
async fn refused_events_are_isolated_within_one_claim_and_with_one_control() -> Result<()> {
    let scene = Scene::create().await?;
    scene.session.batch_execute(REFUSE_666).await?;
    let worker = scene.worker(1_000)?;
    scene.emit([refused_by_trigger(1), event(2, 1)]).await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 1, parked: 1, waiting: 0 });

    scene.session.batch_execute(COUNT).await?;
    let events = (1..=200).map(|n| if n % 50 == 0 { refused_by_trigger(n) } else { event(n, 1) });
    scene.emit_all(&events.collect::<Vec<_>>()).await?;
    // An unused sequence also has the value 1.
    let before = counted(&scene).await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 196, parked: 4, waiting: 0 });
    let [claims, upserts, controls] = counted(&scene).await?;
    assert_eq!((before, claims, controls), ([1, 1, 1], 1, 1));
    // For each: the part, the events before it, and the event itself. One control.
    assert!(upserts <= 15, "{upserts} upserts to find 4 of 200");
    Ok(())
}

/// An event older than its row is not written, so the number of rows is a misleading hint.
#[tokio::test]
async fn a_refused_event_among_stale_ones_is_parked_alone() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(1_000)?;
    scene.emit_all(&(1..=40).map(|order| event(order, 3)).collect::<Vec<_>>()).await?;
    drain(&worker).await?;
    scene.session.batch_execute(REFUSE_666).await?;
    let events =
        (1..=60).map(|order| if order % 25 == 0 { refused_by_trigger(order) } else { event(order, 2) });
    scene.emit_all(&events.collect::<Vec<_>>()).await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 58, parked: 2, waiting: 0 });
    assert_eq!(scene.count("order_summary WHERE version = 3").await?, 40);
    assert_eq!(scene.count("order_summary WHERE version = 2").await?, 19);
    Ok(())
}

#[tokio::test]
async fn no_transaction_has_more_than_64_savepoints_that_write_however_many_events_are_refused() -> Result<()>
{
    for share in [2, 10] {
        let scene = Scene::create().await?;
        scene.session.batch_execute(REFUSE_666).await?;
        let events = (1..=500).map(|n| if n % share == 0 { refused_by_trigger(n) } else { event(n, 1) });
        scene.emit_all(&events.collect::<Vec<_>>()).await?;
        let refused = 500 / usize::try_from(share)?;
        assert_eq!(drain(&*scene.worker(1_000)?).await?, (500 - refused, refused));
        // Each savepoint that wrote has its own xid, and all rows of a transaction have the same changed_in.
        let most = "SELECT max(savepoints) FROM (SELECT count(DISTINCT xmin::text) AS savepoints
                    FROM order_summary GROUP BY changed_in) AS transactions";
        let most: i64 = scene.session.query_one(most, &[]).await?.get(0);
        assert!((2..=64).contains(&most), "1 in {share}: {most} savepoints");
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_of_parked_events_is_one_line_in_the_log() -> Result<()> {
    let scene = Scene::create().await?;
    scene.session.batch_execute(REFUSE_666).await?;
    let mut events: Vec<_> = (1..=150).map(refused_by_trigger).collect();
    events.extend((151..=300).map(|order| {
        let mut event = event(order, 1);
        event.order.total_cents = -1;
        event
    }));
    scene.emit_all(&events).await?;
    let logs = tempfile::tempdir()?;
    let url = scene.database.url("orders_projector");
    let program = env!("CARGO_BIN_EXE_projector");
    let service = Service::start(ServiceKind::Projector, Path::new(program), &url, 0, logs.path())?;
    wait::until("all to be parked", Duration::from_secs(20), || async {
        let parked = scene.count("parked_events").await;
        if matches!(parked, Ok(300)) { Ok(()) } else { Err(parked) }
    })
    .await?;
    assert!(service.stop()?.success());
    let mut lines = Vec::new();
    for file in std::fs::read_dir(logs.path())? {
        let text = std::fs::read_to_string(file?.path())?;
        lines.extend(
            text.lines().filter(|line| line.contains("ERROR") || line.contains("parked")).map(str::to_owned),
        );
    }
    // Batches are small on a busy machine.
    assert!((1..=100).contains(&lines.len()), "{} lines: {lines:#?}", lines.len());
    let first = lines.first().cloned().unwrap_or_default();
    assert!(first.contains("events parked") && first.contains("[1, 2, 3"), "{first}");
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_refused_with_its_control_is_named_in_the_log() -> Result<()> {
    let scene = Scene::create().await?;
    scene
        .session
        .batch_execute("ALTER TABLE order_summary ALTER COLUMN customer_id TYPE varchar(20)")
        .await?;
    let mut poison = event(7, 1);
    poison.order.customer_id = "c".repeat(30);
    scene.emit_all(&[poison]).await?;
    let logs = tempfile::tempdir()?;
    let url = scene.database.url("orders_projector");
    let program = env!("CARGO_BIN_EXE_projector");
    let service = Service::start(ServiceKind::Projector, Path::new(program), &url, 0, logs.path())?;
    let expected = ["ERROR", "so was its control", "00000000-0000-0000-0000-000000000007"];
    wait::until("the line", Duration::from_secs(20), || async {
        let mut log = String::new();
        for file in std::fs::read_dir(logs.path()).into_iter().flatten().flatten() {
            log.push_str(&std::fs::read_to_string(file.path()).unwrap_or_default());
        }
        let is_there = log.lines().any(|line| expected.iter().all(|part| line.contains(part)));
        if is_there { Ok(()) } else { Err(log) }
    })
    .await?;
    assert!(service.stop()?.success());
    assert_eq!(scene.count("parked_events").await?, 0);
    Ok(())
}
