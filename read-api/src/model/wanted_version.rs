//! The version of an order that a client has seen, and wants to see again.

use uuid::Uuid;

/// The version of an order that a response must show, or a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedVersion {
    /// The order's id.
    pub order_id: Uuid,
    /// The minimum version.
    pub version: i32,
    /// The order must be this customer's; `None` allows every customer. The order of another customer counts as
    /// missing: the response must not reveal whether it exists.
    pub customer_id: Option<String>,
}
