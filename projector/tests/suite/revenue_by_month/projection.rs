//! `revenue_by_month`: what was paid in each calendar month (UTC), in cents.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use projector::projection::Projection;
use shared_events::{OrderChange, OrderEvent};

/// Adds up payments. It adds, so it rests on each event being applied once; and a payment that is merely told again
/// (`OrderChange::Republished`) is not one.
pub(crate) struct RevenueByMonth;

impl Projection for RevenueByMonth {
    fn name(&self) -> &'static str {
        "revenue_by_month"
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            let revenue = revenue(events);
            if !revenue.is_empty() {
                let (months, cents) = revenue.into_iter().unzip();
                RunQueryDsl::execute(Add { months, cents }, connection).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// By month, sorted: two workers that lock rows in the same order cannot deadlock.
fn revenue(events: &[OrderEvent]) -> BTreeMap<NaiveDate, i64> {
    let mut revenue = BTreeMap::new();
    for event in events.iter().filter(|event| event.change == OrderChange::Paid) {
        if let Some(month) = event.occurred_at.date_naive().with_day(1) {
            *revenue.entry(month).or_default() += event.order.total_cents;
        }
    }
    revenue
}

#[derive(QueryId)]
struct Add {
    months: Vec<NaiveDate>,
    cents: Vec<i64>,
}

impl QueryFragment<Pg> for Add {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO revenue_by_month AS r (month, revenue_cents) SELECT * FROM unnest(");
        out.push_bind_param::<sql_types::Array<sql_types::Date>, _>(&self.months)?;
        out.push_sql(", ");
        out.push_bind_param::<sql_types::Array<sql_types::BigInt>, _>(&self.cents)?;
        out.push_sql(
            ") ON CONFLICT (month) DO UPDATE SET revenue_cents = r.revenue_cents + EXCLUDED.revenue_cents",
        );
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Add {}
