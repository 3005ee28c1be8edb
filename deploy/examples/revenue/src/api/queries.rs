//! The statements. Each reads one page by index, and one row more to know whether there is another.

use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError, Needs};
use service_kit::overload::OncePerSecond;
use service_kit::problem::Problem;
use service_kit::statement;
use service_kit::telemetry::chain;

use super::parameters::MonthAndCurrency;

/// Settings of every session: plans that read by index, made once.
pub(super) const BY_KEY_ONLY: &[&str] =
    &["enable_seqscan=off", "enable_bitmapscan=off", "jit=off", "plan_cache_mode=force_generic_plan"];

/// The columns that the statements read.
pub(super) const NEEDS: Needs = Needs {
    writes: false,
    columns: &[
        ("revenue.by_month", "month", "SELECT"),
        ("revenue.by_month", "currency", "SELECT"),
        ("revenue.by_month", "orders", "SELECT"),
        ("revenue.by_month", "revenue_cents", "SELECT"),
        ("revenue.by_sku", "sku", "SELECT"),
        ("revenue.by_sku", "orders", "SELECT"),
        ("revenue.by_sku", "units", "SELECT"),
    ],
    functions: &[],
};

/// Later than every month.
const NEWEST: &str = "~";

/// Month, currency, orders and cents; the cents as text, because they may exceed 64 bits.
pub(super) type MonthRow = (String, String, i64, String);

/// SKU, orders and units.
pub(super) type SkuRow = (String, i64, i64);

/// Rows of a page, and whether there are more.
pub(super) struct Page<Row> {
    pub(super) rows: Vec<Row>,
    pub(super) is_more: bool,
}

/// The revenue of the months after this one, newest first.
pub(super) async fn months(
    database: &Database,
    after: Option<MonthAndCurrency>,
    limit: i64,
) -> Result<Page<MonthRow>, Problem> {
    let (month, currency) =
        after.map_or((NEWEST.to_owned(), String::new()), |after| (after.month, after.currency));
    let rows = database.read(move |connection| {
        let query = ByMonth {
            up_to_month: month.clone(),
            before_month: month.clone(),
            after_currency: currency.clone(),
            rows: limit + 1,
        };
        RunQueryDsl::load(query, connection).boxed()
    });
    Ok(page(rows.await.map_err(|error| problem(&error))?, limit))
}

/// The SKUs after this one.
pub(super) async fn skus(
    database: &Database,
    after: Option<String>,
    limit: i64,
) -> Result<Page<SkuRow>, Problem> {
    let after = after.unwrap_or_default();
    let rows = database.read(move |connection| {
        let query = BySku { after: after.clone(), rows: limit + 1 };
        RunQueryDsl::load(query, connection).boxed()
    });
    Ok(page(rows.await.map_err(|error| problem(&error))?, limit))
}

fn page<Row>(mut rows: Vec<Row>, limit: i64) -> Page<Row> {
    let limit = usize::try_from(limit).unwrap_or_default();
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    Page { rows, is_more }
}

/// Logs the cause, which clients do not see.
fn problem(error: &DatabaseError) -> Problem {
    static FAILED: OncePerSecond = OncePerSecond::new();
    if let Some(times) = FAILED.count() {
        tracing::warn!(times, error = chain(error), "query failed");
    }
    Problem::unavailable("The read model cannot be queried now. Send the same request again.")
}

statement! {
    struct ByMonth = "by_month.sql" -> (Text, Text, BigInt, Text) {
        up_to_month: String as Text,
        before_month: String as Text,
        after_currency: String as Text,
        rows: i64 as BigInt,
    }
}

statement! {
    struct BySku = "by_sku.sql" -> (Text, BigInt, BigInt) {
        after: String as Text,
        rows: i64 as BigInt,
    }
}
