//! Faults of the projector: a locked table, a locked row, events that it does not know, and its end.

use anyhow::{Context, Result, ensure};

use super::alert::Alert;
use super::background::Background;
use super::scene::Scene;
use super::{LOOK, REMEDY, WORKED, commands, commands_with};

const NOTHING_LEFT: &str = "orders_outbox_backlog_events 0";

pub(super) async fn a_backlog_behind_a_locked_table(scene: &Scene) -> Result<()> {
    const NAME: &str = "OrdersBacklog";
    let alert = Alert::new(scene, NAME)?;
    alert.is_silent().await?;
    let session = scene.connect().await?;
    session.batch_execute("BEGIN; LOCK TABLE order_summary").await?;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let pid = pid.to_string();
    ensure!(scene.place().await?.is_success());
    // In place of ten thousand requests. An event that is applied already changes nothing.
    let more =
        "INSERT INTO outbox (kind, payload) SELECT kind, payload FROM outbox, generate_series(1, 10000)";
    scene.connect().await?.batch_execute(more).await?;
    alert.fires().await?;
    scene.shows(&commands(NAME, LOOK)?, &[&pid, "AccessExclusiveLock", "order_summary"]).await?;
    scene.run(&commands_with(NAME, REMEDY, "12345", &pid)?).await?;
    scene.shows(&commands(NAME, WORKED)?, &[NOTHING_LEFT]).await?;
    alert.ends().await
}

pub(super) async fn an_event_behind_a_locked_row(scene: &Scene) -> Result<()> {
    const NAME: &str = "OrdersWaitingEvents";
    let alert = Alert::new(scene, NAME)?;
    alert.is_silent().await?;
    let session = scene.connect().await?;
    session.batch_execute("BEGIN").await?;
    let lock = "SELECT order_id::text, pg_backend_pid() FROM order_summary LIMIT 1 FOR UPDATE";
    let locked = session.query_one(lock, &[]).await?;
    let (order, pid): (String, i32) = (locked.get(0), locked.get(1));
    let pid = pid.to_string();
    // In place of a change. An event that is applied already changes nothing.
    let again = format!(
        "INSERT INTO outbox (kind, payload) SELECT kind, payload FROM event_log
         WHERE payload #>> '{{order,order_id}}' = '{order}' LIMIT 1"
    );
    ensure!(scene.connect().await?.execute(&again, &[]).await? == 1, "no event of {order}");
    alert.fires().await?;
    let is_shown = |printed: &str| {
        let is_line =
            |line: &str| line.contains(&order) && line.contains(&pid) && line.contains("FOR UPDATE");
        printed.lines().any(is_line)
    };
    scene.until_shown(&commands(NAME, LOOK)?, is_shown).await?;
    scene.run(&commands_with(NAME, REMEDY, "12345", &pid)?).await?;
    scene.shows(&commands(NAME, WORKED)?, &["orders_waiting_events 0", "(0 rows)"]).await?;
    alert.ends().await
}

pub(super) async fn parked_events(scene: &Scene) -> Result<()> {
    const NAME: &str = "OrdersParkedEvents";
    let alert = Alert::new(scene, NAME)?;
    alert.is_silent().await?;
    let session = scene.connect().await?;
    // In place of a newer write-api.
    let newer = "CREATE FUNCTION newer() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN NEW.kind := 'order_gift_wrapped'; RETURN NEW; END $$;
                 CREATE TRIGGER newer BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION newer()";
    session.batch_execute(newer).await?;
    ensure!(scene.place().await?.is_success());
    session.batch_execute("DROP TRIGGER newer ON outbox; DROP FUNCTION newer").await?;
    alert.fires().await?;
    scene.shows(&commands(NAME, LOOK)?, &["order_gift_wrapped", "left for an operator"]).await?;
    // In place of a build that knows the kind.
    session.batch_execute("UPDATE parked_events SET kind = 'order_placed'").await?;
    let said = scene.run(&commands(NAME, REMEDY)?).await?;
    ensure!(said.contains("1 parked event will be retried now"), "{said}");
    scene.shows(&commands(NAME, WORKED)?, &["no event is parked"]).await?;
    alert.ends().await
}

pub(super) async fn the_projector_is_down(scene: &mut Scene) -> Result<()> {
    const NAME: &str = "OrdersNoProjector";
    Alert::new(scene, NAME)?.is_silent().await?;
    scene.projector.take().context("no projector")?.kill();
    let alert = Alert::new(scene, NAME)?;
    alert.fires().await?;
    ensure!(scene.place().await?.is_success(), "writes do not go on");
    scene.shows(&commands(NAME, LOOK)?, &["onnect to 127.0.0.1"]).await?;
    // With the shell as its service manager.
    let projector = Background::start(scene.shell(&Background::script(&commands(NAME, REMEDY)?))?)?;
    scene.shows(&commands(NAME, WORKED)?, &[r#"{"status":"ready"}"#]).await?;
    scene.shows(&commands("OrdersBacklog", WORKED)?, &[NOTHING_LEFT]).await?;
    alert.ends().await?;
    scene.restarted = Some(projector);
    Ok(())
}
