//! The statements that read stored orders.

use diesel::sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid};
use service_kit::statement;
use uuid::Uuid;

use super::super::row::OrderColumns;

statement! {
    pub(super) struct Find<'a> = "find.sql" -> OrderColumns {
        pub(super) order_id: Uuid as SqlUuid,
        /// The customer whose order it must be.
        pub(super) owner: Option<&'a str> as Nullable<Text>,
    }
}

statement! {
    pub(super) struct LookUp = "look_up.sql" -> (OrderColumns, Nullable<Array<Nullable<BigInt>>>) {
        pub(super) order_ids: Vec<Uuid> as Array<SqlUuid>,
    }
}
