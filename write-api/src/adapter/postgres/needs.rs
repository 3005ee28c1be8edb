//! The columns and privileges that the statements of this process need. Readiness depends on them.

use service_kit::database::Needs;

/// The columns that are read and written, with the privileges for it.
pub const NEEDS: Needs = Needs {
    writes: true,
    columns: &[
        ("orders", "order_id", "INSERT"),
        ("orders", "order_id", "SELECT"),
        ("orders", "customer_id", "INSERT"),
        ("orders", "customer_id", "SELECT"),
        ("orders", "items", "INSERT"),
        ("orders", "items", "SELECT"),
        ("orders", "total_cents", "INSERT"),
        ("orders", "total_cents", "SELECT"),
        ("orders", "status", "INSERT"),
        ("orders", "status", "SELECT"),
        ("orders", "status", "UPDATE"),
        ("orders", "version", "INSERT"),
        ("orders", "version", "SELECT"),
        ("orders", "version", "UPDATE"),
        ("orders", "placed_at", "INSERT"),
        ("orders", "placed_at", "SELECT"),
        ("orders", "updated_at", "INSERT"),
        ("orders", "updated_at", "SELECT"),
        ("orders", "updated_at", "UPDATE"),
        ("orders", "write_attempts", "INSERT"),
        ("orders", "write_attempts", "SELECT"),
        ("orders", "write_attempts", "UPDATE"),
        ("outbox", "kind", "INSERT"),
        ("outbox", "payload", "INSERT"),
    ],
};
