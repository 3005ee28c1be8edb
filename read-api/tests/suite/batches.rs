//! Lists requested at the same time share statements, and each is the same as if it were requested alone.

use std::collections::BTreeSet;
use std::pin::pin;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use reqwest::Client as HttpClient;
use serde_json::Value;
use testkit::test_database::TestDatabase;
use testkit::wait::{self, TimedOut};
use tokio_postgres::Client;

use crate::support::{Api, SOON};

/// The customers, and the number of orders of each.
const CUSTOMERS: [(&str, i32); 5] = [("nobody", 0), ("one", 1), ("few", 5), ("some", 20), ("many", 60)];

/// Lists requested at once: more than twice the maximum of a statement.
const AT_ONCE: usize = 70;

/// A list that a client may request.
#[derive(Debug, Clone)]
struct ListRequest {
    customer: &'static str,
    limit: u8,
    placed_from: Option<u8>,
    placed_to: Option<u8>,
    second_page: bool,
}

/// Orders are placed from minute 0 to 29; `placed_from` is before `placed_to`.
fn bounded() -> impl Strategy<Value = ListRequest> {
    let bound = |minutes| prop::option::of(minutes);
    (newest(), bound(0..15_u8), bound(15..30_u8), any::<bool>()).prop_map(
        |(newest, from, to, second_page)| ListRequest {
            placed_from: from,
            placed_to: to,
            second_page,
            ..newest
        },
    )
}

fn newest() -> impl Strategy<Value = ListRequest> {
    (prop::sample::select(&CUSTOMERS[..]), 1..=30_u8).prop_map(|((customer, _), limit)| ListRequest {
        customer,
        limit,
        placed_from: None,
        placed_to: None,
        second_page: false,
    })
}

struct Browser<'a> {
    client: HttpClient,
    api: &'a Api,
}

impl Browser<'_> {
    async fn get(&self, path: &str) -> Result<Value> {
        let response = self.client.get(format!("{}{path}", self.api.url)).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// The path of the list. The cursor of a second page comes from the first page, if there is a second.
    async fn path(&self, request: &ListRequest) -> Result<String> {
        let ListRequest { customer, limit, placed_from, placed_to, second_page } = request;
        let bound = |name, minute: &Option<u8>| {
            minute.map_or_else(String::new, |minute| format!("&{name}=2026-11-23T10:{minute:02}:00.123456Z"))
        };
        let (from, to) = (bound("placed_from", placed_from), bound("placed_to", placed_to));
        let path = format!("/customers/{customer}/orders?limit={limit}{from}{to}");
        if !second_page {
            return Ok(path);
        }
        let first = self.get(&path).await?;
        let cursor = first.get("next_cursor").and_then(Value::as_str);
        Ok(cursor.map(|cursor| format!("{path}&cursor={cursor}")).unwrap_or(path))
    }

    /// The lists, requested at once, and the texts of the statements that ran for them.
    async fn together(&self, paths: &[String]) -> Result<(Vec<Value>, Vec<String>)> {
        let mut turnstile = Turnstile::close(&self.api.database).await?;
        let mut statements = Vec::new();
        let lists = pin!(try_join_all(paths.iter().map(|path| self.get(path))));
        let passing = async {
            // The requests above were sent before this one, on the same runtime.
            self.client.get(format!("{}/dashboard.css", self.api.url)).send().await?;
            loop {
                statements.push(turnstile.waiting().await?);
                turnstile.pass().await?;
            }
        };
        let lists = tokio::select! {
            biased;
            lists = lists => lists?,
            stuck = passing => return stuck,
        };
        Ok((lists, statements))
    }
}

/// Lets read-api's statements read `order_summary` one at a time.
struct Turnstile {
    holder: Client,
    next: Client,
    watcher: Client,
}

impl Turnstile {
    const LOCK: &str = "BEGIN; LOCK TABLE order_summary IN ACCESS EXCLUSIVE MODE";

    async fn close(database: &TestDatabase) -> Result<Self> {
        let (holder, next) = (database.connect().await?, database.connect().await?);
        holder.batch_execute(Self::LOCK).await?;
        Ok(Self { holder, next, watcher: database.connect().await? })
    }

    /// The statement that waits for the lock.
    async fn waiting(&self) -> Result<String, TimedOut> {
        self.blocked("application_name = 'read-api'").await
    }

    /// Lets the waiting statement pass and closes behind it: PostgreSQL grants a lock in the order of the requests.
    async fn pass(&mut self) -> Result<()> {
        let open = async {
            self.blocked("query LIKE 'BEGIN; LOCK%'").await?;
            Ok(self.holder.batch_execute("ROLLBACK").await?)
        };
        let closed = async { anyhow::Ok(self.next.batch_execute(Self::LOCK).await?) };
        tokio::try_join!(open, closed)?;
        std::mem::swap(&mut self.holder, &mut self.next);
        Ok(())
    }

    async fn blocked(&self, which: &str) -> Result<String, TimedOut> {
        let blocked = format!(
            "SELECT query FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND {which}"
        );
        wait::until(which, SOON, || async {
            let rows = self.watcher.query(&blocked, &[]).await.map_err(|error| error.to_string())?;
            rows.first().map(|row| row.get(0)).ok_or_else(|| "nothing is blocked".to_owned())
        })
        .await
    }
}

#[tokio::test]
async fn simultaneous_lists_share_statements_and_equal_the_lists_requested_alone() -> Result<()> {
    let limits = [("DATABASE_LOCK_TIMEOUT_MS", "10000"), ("DATABASE_STATEMENT_TIMEOUT_MS", "10000")];
    let api = Api::start_with(&limits).await?;
    let mut number = 0;
    for (customer, count) in CUSTOMERS {
        // Customers with many orders have two in the same minute: the id is the tie-breaker.
        let orders: Vec<_> = (1..=count).map(|order| (number + order, customer, order % 30)).collect();
        api.insert(&orders).await?;
        number += count;
    }
    let browser = Browser { client: HttpClient::new(), api: &api };
    let mut runner = TestRunner::deterministic();
    let kinds = [(false, newest().boxed()), (true, bounded().boxed())];
    for (round, (bounded, kind)) in kinds.into_iter().cycle().take(12).enumerate() {
        let requests = prop::collection::vec(kind, AT_ONCE).new_tree(&mut runner);
        let requests = requests.map_err(anyhow::Error::msg)?.current();
        let (mut paths, mut alone) = (Vec::new(), Vec::new());
        for request in &requests {
            let path = browser.path(request).await?;
            alone.push(browser.get(&path).await.with_context(|| path.clone())?);
            paths.push(path);
        }
        let (together, statements) = browser.together(&paths).await?;
        for ((path, together), alone) in paths.iter().zip(&together).zip(&alone) {
            assert_eq!(together, alone, "round {round}: {path}");
        }
        let different = BTreeSet::from_iter(&paths).len();
        assert!(statements.len() * 6 <= different, "{different} lists took {} statements", statements.len());
        let with_bounds = statements.iter().any(|text| text.contains("before_placed_at"));
        assert_eq!(with_bounds, bounded, "round {round}: {statements:?}");
    }
    Ok(())
}
