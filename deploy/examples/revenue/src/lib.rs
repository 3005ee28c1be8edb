//! Revenue by month, and orders by SKU: an example of a read model of your own, to copy.
//!
//! | Module | Holds |
//! |---|---|
//! | [`projection`] | the read model: it turns events into sums |
//! | [`api`] | the read service, which shows the sums |
//!
//! Two programs use it. `revenue-projector` is the product's projector with one more read model; `revenue-api` serves
//! the read model. The tables are in `migrations/`.

pub mod api;
pub mod projection;
