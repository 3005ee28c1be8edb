//! `revenue_by_month`: the payments of each calendar month (UTC), in cents.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Date};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use projector::projection::Projection;
use service_kit::statement;
use shared_events::{OrderChange, OrderEvent};

/// Adds up payments. A sum relies on each event being applied once, and ignores republished orders
/// (`OrderChange::Republished`).
pub(crate) struct RevenueByMonth;

impl Projection for RevenueByMonth {
    fn name(&self) -> &'static str {
        "revenue_by_month"
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            let revenue = revenue(events);
            if !revenue.is_empty() {
                let (months, cents) = revenue.into_iter().unzip();
                RunQueryDsl::execute(AddRevenue { months, cents }, connection).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// By month, sorted: two workers that lock rows in the same order cannot deadlock.
fn revenue(events: &[&OrderEvent]) -> BTreeMap<NaiveDate, i64> {
    let mut revenue = BTreeMap::new();
    for event in events.iter().filter(|event| event.change == OrderChange::Paid) {
        if let Some(month) = event.occurred_at.date_naive().with_day(1) {
            *revenue.entry(month).or_default() += event.order.total_cents;
        }
    }
    revenue
}

statement! {
    struct AddRevenue = "add_revenue.sql" {
        months: Vec<NaiveDate> as Array<Date>,
        cents: Vec<i64> as Array<BigInt>,
    }
}
