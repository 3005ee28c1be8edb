//! Orders by id.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::row::{COLUMNS, Columns, Row, summary};
use crate::model::OrderSummary;

/// Those of the orders that are there. It locks nothing.
pub(super) async fn find(
    connection: &mut AsyncPgConnection,
    order_ids: Vec<Uuid>,
) -> QueryResult<Vec<OrderSummary>> {
    let rows: Vec<(String, Row)> = RunQueryDsl::load(Find { order_ids }, connection).await?;
    Ok(rows.into_iter().map(|(customer_id, row)| summary(customer_id.into(), row)).collect())
}

#[derive(QueryId)]
struct Find {
    order_ids: Vec<Uuid>,
}

impl Query for Find {
    type SqlType = (Text, Columns);
}

impl QueryFragment<Pg> for Find {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT o.customer_id, ");
        out.push_sql(COLUMNS);
        out.push_sql(" FROM order_summary o WHERE o.order_id = ANY(");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.order_ids)?;
        out.push_sql(")");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Find {}
