//! What a read model's table refuses, the projection refuses without a query.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use projector::projection::{OrderSummary, Projection};
use shared_events::{OrderEvent, OrderItem, OrderStatus};

use crate::support::{Scene, drain, event};

/// The constraint or column, and an event on either side of its limit.
type Case = (&'static str, fn(&mut OrderEvent), fn(&mut OrderEvent));

const CHECKED: [Case; 9] = [
    (
        "order_summary_customer_id_length",
        |e| e.order.customer_id = "é".repeat(128),
        |e| e.order.customer_id = "é".repeat(129),
    ),
    (
        "order_summary_customer_id_length",
        |e| e.order.customer_id = "c".into(),
        |e| e.order.customer_id.clear(),
    ),
    (
        "order_summary_last_item_sku_length",
        |e| e.order.last_item_sku = "😀".repeat(64),
        |e| e.order.last_item_sku = "s".repeat(65),
    ),
    (
        "order_summary_last_item_sku_length",
        |e| e.order.last_item_sku = "s".into(),
        |e| e.order.last_item_sku.clear(),
    ),
    ("order_summary_total_not_negative", |e| e.order.total_cents = 0, |e| e.order.total_cents = -1),
    ("order_summary_item_count_positive", |e| e.order.item_count = 1, |e| e.order.item_count = 0),
    ("order_summary_version_positive", |e| e.order.version = 1, |e| e.order.version = 0),
    (
        "order_summary_currency_is_a_code",
        |e| e.facts.currency = Some("ZZZ".into()),
        |e| e.facts.currency = Some("EURO".into()),
    ),
    (
        "order_summary_currency_is_a_code",
        |e| e.facts.currency = None,
        |e| e.facts.currency = Some("eur".into()),
    ),
];

/// Refused by the column's type.
const TYPED: [Case; 10] = [
    ("customer_id", |e| e.order.customer_id = "\u{1}".into(), |e| e.order.customer_id = "\0".into()),
    ("last_item_sku", |e| e.order.last_item_sku = "\u{1}".into(), |e| e.order.last_item_sku = "a\0".into()),
    ("placed_at", |e| e.order.placed_at = julian_day_0(24), |e| e.order.placed_at = julian_day_0(23)),
    ("carrier", |e| e.facts.carrier = Some("\u{1}".into()), |e| e.facts.carrier = Some("\0".into())),
    (
        "tracking_number",
        |e| e.facts.tracking_number = Some("1".repeat(1_000)),
        |e| e.facts.tracking_number = Some("1\0".into()),
    ),
    (
        "cancel_reason",
        |e| e.facts.cancel_reason = Some(String::new()),
        |e| e.facts.cancel_reason = Some("\0".into()),
    ),
    ("paid_at", |e| e.facts.paid_at = Some(julian_day_0(24)), |e| e.facts.paid_at = Some(julian_day_0(23))),
    (
        "shipped_at",
        |e| e.facts.shipped_at = Some(julian_day_0(24)),
        |e| e.facts.shipped_at = Some(julian_day_0(23)),
    ),
    (
        "delivered_at",
        |e| e.facts.delivered_at = Some(DateTime::<Utc>::MAX_UTC),
        |e| e.facts.delivered_at = Some(julian_day_0(23)),
    ),
    (
        "cancelled_at",
        |e| e.facts.cancelled_at = Some(julian_day_0(24)),
        |e| e.facts.cancelled_at = Some(julian_day_0(23)),
    ),
];

/// In 4714 BC, in whose November PostgreSQL's time begins.
fn julian_day_0(day: u32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(-4713, 11, day)
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .unwrap_or_default()
        .and_utc()
}

/// The table's error, if it refuses the event.
async fn refused_by_table(connection: &mut AsyncPgConnection, event: &OrderEvent) -> Option<String> {
    let apply = connection.transaction(async |connection| OrderSummary.apply(connection, &[event]).await);
    apply.await.err().map(|error| error.to_string())
}

#[tokio::test]
async fn the_projection_refuses_what_its_table_refuses_and_nothing_else() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    for (name, keep, breach) in CHECKED.into_iter().chain(TYPED) {
        let mut kept = event(1, 1);
        keep(&mut kept);
        assert_eq!(OrderSummary.refuses(&kept), None, "{name}");
        assert_eq!(refused_by_table(&mut connection, &kept).await, None, "{name}");
        let mut broken = event(1, 1);
        breach(&mut broken);
        let reason = OrderSummary.refuses(&broken).context(name)?;
        assert!(reason.starts_with(&format!("{name}: ")), "{name}: {reason}");
        let error = refused_by_table(&mut connection, &broken).await.context(name)?;
        assert!(!name.starts_with("order_summary") || error.contains(name), "{name}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn items_are_stored_whatever_their_texts_contain() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let sku = "\0 \u{1f} \u{7f} \" \\ / é \u{2028} 😀";
    let mut odd = event(1, 1);
    odd.facts.items =
        Some(vec![OrderItem { sku: sku.to_owned(), quantity: i32::MIN, price_cents: i64::MAX }]);
    assert_eq!(OrderSummary.refuses(&odd), None);
    assert_eq!(refused_by_table(&mut connection, &odd).await, None);
    let stored = scene.session.query_one("SELECT items::text FROM order_summary", &[]).await?;
    assert_eq!(Some(serde_json::from_str(stored.get(0))?), odd.facts.items);
    Ok(())
}

#[tokio::test]
async fn the_projection_knows_every_check_of_the_table() -> Result<()> {
    let scene = Scene::create().await?;
    let checks = "SELECT conname::text FROM pg_constraint WHERE conrelid = 'order_summary'::regclass AND contype = 'c'";
    let checks = scene.session.query(checks, &[]).await?;
    let checks: BTreeSet<String> = checks.iter().map(|row| row.get(0)).collect();
    let mut known: BTreeSet<_> = CHECKED.iter().map(|(name, ..)| (*name).to_owned()).collect();
    known.insert("order_summary_status_known".to_owned());
    assert_eq!(checks, known);
    // An event cannot have an unknown status; the table knows all statuses.
    let mut connection = scene.open()?.session().await?;
    for status in OrderStatus::ALL {
        let mut event = event(1, 1);
        event.order.status = status;
        assert_eq!(refused_by_table(&mut connection, &event).await, None, "{status}");
    }
    let unknown =
        "INSERT INTO order_summary (order_id, customer_id, total_cents, status, placed_at, item_count,
                       last_item_sku, version)
                   VALUES (gen_random_uuid(), 'c', 1, 'lost', now(), 1, 's', 1)";
    let error = scene.session.batch_execute(unknown).await.unwrap_err();
    assert!(
        error.as_db_error().is_some_and(|error| error.constraint() == Some("order_summary_status_known")),
        "{error:?}"
    );
    Ok(())
}

#[tokio::test]
async fn events_that_the_projection_refuses_are_parked_without_being_tried() -> Result<()> {
    let scene = Scene::create().await?;
    // Counts the statements that write summaries, in a sequence, which a rollback does not undo.
    let count = "
        CREATE SEQUENCE upserts;
        CREATE FUNCTION count_upsert() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            $$ BEGIN PERFORM nextval('upserts'); RETURN NULL; END $$;
        CREATE TRIGGER count_upsert BEFORE INSERT ON order_summary FOR EACH STATEMENT EXECUTE FUNCTION count_upsert()";
    scene.session.batch_execute(count).await?;
    let events = (1..=100).map(|order| {
        let mut event = event(order, 1);
        if order % 10 == 0 {
            event.order.total_cents = -1;
        }
        event
    });
    scene.emit_all(&events.collect::<Vec<_>>()).await?;
    assert_eq!(drain(&*scene.worker(1_000)?).await?, (90, 10));
    let upserts: i64 = scene.session.query_one("SELECT last_value FROM upserts", &[]).await?.get(0);
    assert_eq!(upserts, 1);
    Ok(())
}
