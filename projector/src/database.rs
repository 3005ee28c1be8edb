//! How the projector opens the database, and what it needs there.

use std::time::Duration;

use service_kit::config::ConfigError;
use service_kit::database::{Database, DatabaseConfig, Needs};

/// Every statement finds its rows by key, in the order of the key, or by ctid. The outbox is empty one moment and full
/// the next, and PostgreSQL keeps a plan that was made while it was empty. Such a plan must not scan the whole table,
/// nor read and sort the whole backlog for each batch. With these settings, a scan without an alternative, for
/// example of a sequence, gets a very high cost, which triggers JIT compilation: 50 ms. So JIT is off too.
const BY_KEY_ONLY: &[&str] = &["enable_seqscan=off", "enable_bitmapscan=off", "jit=off"];

/// The database as the projector uses it.
///
/// # Errors
///
/// [`ConfigError`] when `DATABASE_URL` is not a URL that can be used.
pub fn open(config: &DatabaseConfig, process: &str) -> Result<Database, ConfigError> {
    config.clone().with_settings(BY_KEY_ONLY).for_writes().open(process)
}

/// Batches wait for a lock only as long as two workers block each other. The events of a row that is locked for longer
/// are set aside.
const LONGEST_LOCK_WAIT: Duration = Duration::from_millis(50);

/// The database as batches use it.
///
/// # Errors
///
/// [`ConfigError`] when `DATABASE_URL` is not a URL that can be used.
pub fn open_for_batches(config: &DatabaseConfig, process: &str) -> Result<Database, ConfigError> {
    open(&config.clone().with_lock_timeout_up_to(LONGEST_LOCK_WAIT), process)
}

/// The columns that are read and written, each with the privilege that this takes. The tables of read
/// models that are subscriptions are not among them: such a read model fails alone.
pub const NEEDS: Needs = Needs {
    writes: true,
    columns: &[
        ("outbox", "id", "DELETE"),
        ("outbox", "id", "SELECT"),
        ("outbox", "id", "UPDATE"),
        ("outbox", "kind", "SELECT"),
        ("outbox", "payload", "SELECT"),
        ("outbox", "created_at", "SELECT"),
        ("order_summary", "order_id", "INSERT"),
        ("order_summary", "order_id", "SELECT"),
        ("order_summary", "customer_id", "SELECT"),
        ("order_summary", "customer_id", "UPDATE"),
        ("order_summary", "total_cents", "SELECT"),
        ("order_summary", "total_cents", "UPDATE"),
        ("order_summary", "status", "SELECT"),
        ("order_summary", "status", "UPDATE"),
        ("order_summary", "placed_at", "SELECT"),
        ("order_summary", "placed_at", "UPDATE"),
        ("order_summary", "item_count", "SELECT"),
        ("order_summary", "item_count", "UPDATE"),
        ("order_summary", "last_item_sku", "SELECT"),
        ("order_summary", "last_item_sku", "UPDATE"),
        ("order_summary", "version", "SELECT"),
        ("order_summary", "version", "UPDATE"),
        ("order_summary", "items", "SELECT"),
        ("order_summary", "items", "UPDATE"),
        ("order_summary", "currency", "SELECT"),
        ("order_summary", "currency", "UPDATE"),
        ("order_summary", "carrier", "SELECT"),
        ("order_summary", "carrier", "UPDATE"),
        ("order_summary", "tracking_number", "SELECT"),
        ("order_summary", "tracking_number", "UPDATE"),
        ("order_summary", "cancel_reason", "SELECT"),
        ("order_summary", "cancel_reason", "UPDATE"),
        ("order_summary", "paid_at", "SELECT"),
        ("order_summary", "paid_at", "UPDATE"),
        ("order_summary", "shipped_at", "SELECT"),
        ("order_summary", "shipped_at", "UPDATE"),
        ("order_summary", "delivered_at", "SELECT"),
        ("order_summary", "delivered_at", "UPDATE"),
        ("order_summary", "cancelled_at", "SELECT"),
        ("order_summary", "cancelled_at", "UPDATE"),
        ("order_summary", "projected_at", "UPDATE"),
        ("order_summary", "changed_in", "UPDATE"),
        ("order_summary", "history", "UPDATE"),
        ("event_log", "position", "SELECT"),
        ("event_log", "kind", "SELECT"),
        ("event_log", "payload", "SELECT"),
        ("event_log", "traceparent", "SELECT"),
        ("event_log", "recorded_at", "SELECT"),
        ("event_log_state", "missing_up_to", "SELECT"),
        ("event_log_state", "history", "SELECT"),
        ("event_log_state", "settled_below", "SELECT"),
        ("event_log_state", "settled_below", "UPDATE"),
        ("waiting_events", "id", "DELETE"),
        ("waiting_events", "id", "INSERT"),
        ("waiting_events", "id", "UPDATE"),
        ("waiting_events", "order_id", "SELECT"),
        ("waiting_events", "version", "SELECT"),
        ("waiting_events", "kind", "SELECT"),
        ("waiting_events", "payload", "SELECT"),
        ("waiting_events", "created_at", "SELECT"),
        ("parked_events", "id", "DELETE"),
        ("parked_events", "id", "INSERT"),
        ("parked_events", "id", "SELECT"),
        ("parked_events", "kind", "SELECT"),
        ("parked_events", "payload", "SELECT"),
        ("parked_events", "created_at", "SELECT"),
        ("parked_events", "attempts", "UPDATE"),
        ("parked_events", "error", "UPDATE"),
        ("parked_events", "next_attempt_at", "UPDATE"),
        ("subscriptions", "name", "INSERT"),
        ("subscriptions", "name", "SELECT"),
        ("subscriptions", "checkpoint", "SELECT"),
        ("subscriptions", "checkpoint", "UPDATE"),
        ("subscriptions", "history", "UPDATE"),
        ("subscriptions", "state", "SELECT"),
        ("subscriptions", "state", "UPDATE"),
        ("subscriptions", "failures", "SELECT"),
        ("subscriptions", "failures", "UPDATE"),
        ("subscriptions", "next_attempt_at", "SELECT"),
        ("subscriptions", "next_attempt_at", "UPDATE"),
        ("subscriptions", "last_error", "UPDATE"),
        ("subscriptions", "updated_at", "UPDATE"),
        ("subscription_parked", "subscription", "INSERT"),
        ("subscription_parked", "subscription", "SELECT"),
        ("subscription_parked", "id", "DELETE"),
        ("subscription_parked", "id", "SELECT"),
        ("subscription_parked", "kind", "SELECT"),
        ("subscription_parked", "payload", "SELECT"),
        ("subscription_parked", "recorded_at", "SELECT"),
        ("subscription_parked", "attempts", "SELECT"),
        ("subscription_parked", "attempts", "UPDATE"),
        ("subscription_parked", "error", "UPDATE"),
        ("subscription_parked", "next_attempt_at", "SELECT"),
        ("subscription_parked", "next_attempt_at", "UPDATE"),
    ],
};
