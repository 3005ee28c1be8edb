//! Callers who ask at the same time share a statement, and each gets what is theirs.

use anyhow::Result;
use futures_util::future::try_join_all;
use read_api::adapter::postgres::PgOrderQueries;
use read_api::model::OrderRequest;
use read_api::port::OrderQueries;
use service_kit::database::DatabaseConfig;
use service_kit::tasks::CriticalTasks;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Logged;

/// The order with this number, if it must be this customer's.
fn request(number: u128, customer_id: Option<&str>) -> OrderRequest {
    OrderRequest { order_id: Uuid::from_u128(number), customer_id: customer_id.map(ToOwned::to_owned) }
}

#[tokio::test]
async fn one_statement_serves_several_callers_and_each_gets_only_what_is_theirs() -> Result<()> {
    let mut logged = Logged::start().await?;
    let vars = [("DATABASE_URL".to_owned(), logged.url())].into();
    let database = DatabaseConfig::from_vars(&vars)?.open("test")?;
    let tasks = CriticalTasks::new(CancellationToken::new());
    let queries = PgOrderQueries::start(database.clone(), database, &tasks);
    logged.statements()?;
    // For staff, for the owner, and for another customer.
    let requests = [1, 2, 3].iter().flat_map(|number| {
        [None, Some("alice"), Some("bob"), Some("nobody")].map(|customer| (*number, customer))
    });
    let requests: Vec<_> = requests.collect();
    let found = requests.iter().map(|(number, customer)| queries.find(request(*number, *customer)));
    let found = try_join_all(found).await?;
    for ((number, customer), order) in requests.iter().zip(found) {
        let owner = match number {
            1 => Some("alice"),
            2 => Some("bob"),
            _ => None,
        };
        let expected = owner.filter(|owner| customer.is_none_or(|customer| customer == *owner));
        let shown = order.as_ref().map(|order| (order.order_id.as_u128(), order.customer_id.as_str()));
        assert_eq!(shown, expected.map(|owner| (*number, owner)), "{number} {customer:?}");
    }
    assert_eq!(logged.statements()?, ["-- find"]);
    tasks.stop().cancel();
    Ok(())
}
