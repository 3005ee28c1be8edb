//! Shows what the example's read model has added up of the demonstration.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Client;
use serde::Deserialize;
use testkit::wait;

use super::print_line;

/// Orders of the demonstration that are paid and not cancelled.
const PAID: i64 = 2;

/// Limit for the read model to follow.
const VISIBLE_LIMIT: Duration = Duration::from_secs(10);

/// The read service of the example, and how many orders it had counted before the demonstration.
pub(super) struct Revenue {
    client: Client,
    url: String,
    orders_before: i64,
}

#[derive(Deserialize)]
struct Page {
    revenue: Vec<MonthlyRevenue>,
}

#[derive(Deserialize)]
struct MonthlyRevenue {
    month: Option<String>,
    currency: Option<String>,
    orders: i64,
    revenue_cents: i64,
}

impl Revenue {
    pub(super) async fn before_the_demonstration(client: Client, url: &str) -> Result<Self> {
        let orders_before = orders(&months(&client, url).await?);
        Ok(Self { client, url: url.to_owned(), orders_before })
    }

    /// Waits until the orders of the demonstration are counted, and prints all months.
    pub(super) async fn show(self) -> Result<()> {
        let months = wait::until("the revenue of the demonstration", VISIBLE_LIMIT, || async {
            let months = months(&self.client, &self.url).await.map_err(|error| format!("{error:#}"))?;
            match orders(&months) - self.orders_before {
                counted if counted >= PAID => Ok(months),
                counted => Err(format!("{counted} orders are counted")),
            }
        })
        .await?;
        print_line("\nrevenue-api shows:")?;
        print_line(&format!(
            "  {:<7}  {:<8}  {:>6}  {:>13}",
            "month", "currency", "orders", "revenue_cents"
        ))?;
        for MonthlyRevenue { month, currency, orders, revenue_cents } in months {
            let (month, currency) = (month.unwrap_or_default(), currency.unwrap_or_default());
            print_line(&format!("  {month:<7}  {currency:<8}  {orders:>6}  {revenue_cents:>13}"))?;
        }
        Ok(())
    }
}

fn orders(months: &[MonthlyRevenue]) -> i64 {
    months.iter().map(|month| month.orders).sum()
}

async fn months(client: &Client, url: &str) -> Result<Vec<MonthlyRevenue>> {
    let response = client.get(format!("{url}/revenue?by=month&limit=1000")).send().await;
    let page: Page = response.context("revenue-api did not respond")?.error_for_status()?.json().await?;
    Ok(page.revenue)
}
