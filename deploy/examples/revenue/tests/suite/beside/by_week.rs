//! The changed read model.

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use projector::projection::Projection;
use revenue::projection::Counted;
use shared_events::OrderEvent;

/// `revenue_2`: also by week.
pub(super) struct RevenueByWeek;

impl Projection for RevenueByWeek {
    fn name(&self) -> &'static str {
        "revenue_2"
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            for event in events {
                learn(connection, event).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

async fn learn(connection: &mut AsyncPgConnection, event: &OrderEvent) -> QueryResult<()> {
    let said = Counted::learn(None, event);
    let week = event.facts.paid_at.map(|paid_at| paid_at.format("%G-W%V").to_string());
    let units = said.units.as_ref().map(serde_json::to_string).transpose();
    let units = units.map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    let learn = "SELECT revenue_2.learn(ROW($1, $2, $3, $4, $5, $6, $7::jsonb, $8)::revenue_2.orders)";
    let learn = diesel::sql_query(learn)
        .bind::<Uuid, _>(event.order.order_id)
        .bind::<Integer, _>(said.version)
        .bind::<Text, _>(said.status.as_str())
        .bind::<BigInt, _>(said.total_cents)
        .bind::<Nullable<Text>, _>(said.paid_month)
        .bind::<Nullable<Text>, _>(said.currency)
        .bind::<Nullable<Text>, _>(units)
        .bind::<Nullable<Text>, _>(week);
    RunQueryDsl::execute(learn, connection).await.map(drop)
}
