//! The order that a client asks for.

use uuid::Uuid;

/// The order that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRequest {
    /// The order's id.
    pub order_id: Uuid,
    /// The order must be this customer's; `None` allows every customer. The order of another customer counts as
    /// missing: the response must not reveal whether it exists.
    pub customer_id: Option<String>,
}
