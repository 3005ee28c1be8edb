//! The privileges that this process needs in the database.

use service_kit::database::Needs;

/// The columns that the statements read.
pub const NEEDS: Needs = Needs {
    writes: false,
    columns: &[
        ("order_summary", "order_id", "SELECT"),
        ("order_summary", "customer_id", "SELECT"),
        ("order_summary", "total_cents", "SELECT"),
        ("order_summary", "currency", "SELECT"),
        ("order_summary", "status", "SELECT"),
        ("order_summary", "placed_at", "SELECT"),
        ("order_summary", "item_count", "SELECT"),
        ("order_summary", "last_item_sku", "SELECT"),
        ("order_summary", "version", "SELECT"),
        ("order_summary", "changed_in", "SELECT"),
        ("order_summary", "history", "SELECT"),
        ("order_summary", "items", "SELECT"),
        ("order_summary", "carrier", "SELECT"),
        ("order_summary", "tracking_number", "SELECT"),
        ("order_summary", "cancel_reason", "SELECT"),
        ("order_summary", "paid_at", "SELECT"),
        ("order_summary", "shipped_at", "SELECT"),
        ("order_summary", "delivered_at", "SELECT"),
        ("order_summary", "cancelled_at", "SELECT"),
    ],
    functions: &["cell_number"],
};
