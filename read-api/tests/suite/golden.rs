//! The plans of all statements over two million orders: each reads by index and in index order.

use anyhow::{Context, Error, Result};
use read_api::adapter::postgres::BY_KEY_ONLY;
use reqwest::StatusCode;
use testkit::golden::Golden;
use testkit::wait;
use tokio_postgres::Client;

use crate::support::plans::{cost, statement};
use crate::support::{Api, SOON};

/// The statements of the previous release.
const PREVIOUS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/migrate/tests/previous/statements/read-api");

const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));

/// Two million orders of 100,000 customers, one of whom has twenty thousand. Ten are cancelled; the other statuses are
/// equally frequent. Each order has a transaction of its own, older than all real ones.
const FILL: &str = "INSERT INTO order_summary
    (order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version, changed_in, history)
    SELECT md5(n::text)::uuid,
           CASE n % 100 WHEN 0 THEN 'whale' ELSE 'customer-' || n * 7919::bigint % 100000 END, 1000 + n,
           CASE n % 200000 WHEN 7 THEN 'cancelled'
               ELSE (ARRAY['placed', 'paid', 'shipped', 'delivered'])[1 + (n + n / 100000) % 4] END,
           timestamptz '2020-01-01 00:00:00Z' + n * interval '1 minute', 3, 'SKU-' || n % 1000, 1, n - 2000000,
           (SELECT current_history())
    FROM generate_series(1, 2000000) AS n";

/// Creates the indexes after the rows, which is several times faster.
async fn fill(session: &Client) -> Result<()> {
    let secondary = "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
                     WHERE indrelid = 'order_summary'::regclass AND NOT indisprimary ORDER BY 1";
    let indexes = session.query(secondary, &[]).await?;
    for index in &indexes {
        session.batch_execute(&format!("DROP INDEX {}", index.get::<_, String>(0))).await?;
    }
    session.batch_execute(FILL).await?;
    for index in &indexes {
        session.batch_execute(index.get(1)).await?;
    }
    session.batch_execute("VACUUM ANALYZE order_summary").await?;
    Ok(())
}

/// Waits until this statement is the last one of a read-api session. Repeats the request until then: the next
/// statement on the same connection, such as one for live updates, hides it.
async fn expect_run(session: &Client, name: &str, request: impl AsyncFn() -> Result<()>) -> Result<()> {
    let query =
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND usename = 'orders_read_api'
                 AND query LIKE '-- ' || $1::text || E'\\n%'";
    let check = async || {
        let run = async || -> Result<_> {
            request().await?;
            Ok(session.query_opt(query, &[&name]).await?)
        };
        match run().await {
            Ok(None) => Err("not run"),
            Ok(Some(_)) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    };
    wait::until("the statement", SOON, check).await.with_context(|| name.to_owned())?
}

/// Checks that the request runs the statement, and that its plan is the golden one.
async fn check(
    session: &Client,
    name: &str,
    types: &str,
    request: impl AsyncFn() -> Result<()>,
    arguments: &str,
) -> Result<()> {
    expect_run(session, name, request).await?;
    session.batch_execute(&format!("PREPARE {name}({types}) AS {}", statement(name)?)).await?;
    check_plan(session, name, name, &format!("({arguments})")).await?;
    check_previous(session, name, &format!("({types})"), &format!("({arguments})")).await
}

/// The previous release runs beside this build: its statement with this name, if it had one, has the same plan.
async fn check_previous(session: &Client, name: &str, types: &str, arguments: &str) -> Result<()> {
    let Ok(previous) = std::fs::read_to_string(format!("{PREVIOUS}/{name}.sql")) else { return Ok(()) };
    session.batch_execute(&format!("PREPARE previous_{name}{types} AS {previous}")).await?;
    check_plan(session, name, &format!("previous_{name}"), arguments).await
}

/// Checks that the plan of the prepared statement is the golden one of `name`.
async fn check_plan(session: &Client, name: &str, prepared: &str, arguments: &str) -> Result<()> {
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {prepared}{arguments}");
    let plan = session.query(&explain, &[]).await?;
    let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
    // A merge has a sort key, and sorts nothing.
    let is_bad = |line: &String| {
        ["Seq Scan", "Sort", "Bitmap"].iter().any(|node| line.contains(node)) && !line.contains("Sort Key: ")
    };
    assert!(!plan.iter().any(is_bad), "{name}: {plan:#?}");
    let major = "SELECT current_setting('server_version_num')::int / 10000";
    let major: i32 = session.query_one(major, &[]).await?.get(0);
    Ok(GOLDEN.compare_plan(&format!("{name}.plan"), &plan.join("\n"), major)?)
}

/// One plan for all statuses, frequent and rare, and for all positions: it reads what the page shows, and one row more
/// of each status.
async fn check_page_of_all(session: &Client, request: impl AsyncFn() -> Result<()>) -> Result<()> {
    let arguments = |statuses: &str, before: &str, rows: i64| {
        format!("ARRAY[{statuses}], '{before}', '00000000-0000-0000-0000-000000000000', '-infinity', {rows}")
    };
    let all = "'placed', 'paid', 'shipped', 'delivered', 'cancelled'";
    let types = "text[], timestamptz, uuid, timestamptz, bigint";
    check(session, "page_of_all", types, request, &arguments(all, "infinity", 21)).await?;
    for (statuses, before, limit, expected) in [
        (all, "infinity", 101, 101),
        (all, "2021-06-01", 101, 101),
        ("'paid'", "infinity", 101, 101),
        ("'placed', 'cancelled'", "infinity", 21, 21),
        ("'cancelled'", "infinity", 21, 10),
        ("'cancelled'", "2021-01-01", 21, 3),
        ("'cancelled'", "2020-01-01", 21, 0),
    ] {
        let arguments = arguments(statuses, before, limit);
        let (pages, rows) = cost(session, "page_of_all", &format!("({arguments})")).await?;
        assert_eq!(rows, expected, "{arguments}");
        // A page of the table per row, and three or four of the index per status.
        assert!(pages <= rows + 5 * 5, "{pages} pages for {rows} orders: {arguments}");
    }
    Ok(())
}

/// The statement of the previous release has no customers, and a plan of its own.
async fn check_find(session: &Client) -> Result<()> {
    let previous = std::fs::read_to_string(format!("{PREVIOUS}/find.sql"))?;
    session.batch_execute(&format!("PREPARE previous_find(uuid[]) AS {previous}")).await?;
    session.batch_execute(&format!("PREPARE find(uuid[], text[]) AS {}", statement("find")?)).await?;
    let orders = "ARRAY[md5('1'), md5('2'), md5('3')]::uuid[]";
    for (name, arguments, expected) in [
        ("previous_find", format!("({orders})"), 3),
        ("find", format!("({orders}, ARRAY[NULL, 'nobody', 'customer-23757'])"), 2),
    ] {
        check_plan(session, name, name, &arguments).await?;
        let (pages, rows) = cost(session, name, &arguments).await?;
        assert!(rows == expected && pages <= 3 * 5, "{name}: {pages} pages for {rows} of three orders");
    }
    Ok(())
}

/// The statement of the previous release knows no cells, and has a plan of its own.
async fn check_position(session: &Client) -> Result<()> {
    let previous = std::fs::read_to_string(format!("{PREVIOUS}/position.sql"))?;
    for (name, text) in [("previous_position", previous), ("position", statement("position")?)] {
        session.batch_execute(&format!("PREPARE {name} AS {text}")).await?;
        check_plan(session, name, name, "").await?;
        let (pages, rows) = cost(session, name, "").await?;
        assert!(rows == 1 && pages <= 12, "{name}: {pages} pages for {rows} position");
    }
    Ok(())
}

#[tokio::test]
async fn every_statement_reads_by_index_and_in_index_order() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    fill(&session).await?;
    for setting in BY_KEY_ONLY {
        session.batch_execute(&format!("SET {setting}")).await?;
    }

    let get = async |path: &str| api.get(path).await?.error_for_status().map(drop).map_err(Error::from);
    let request = async || get("/customers/customer-7/orders").await;
    let newest = "ARRAY['customer-7', 'whale'], ARRAY[11, 101]";
    check(&session, "newest", "text[], bigint[]", request, newest).await?;
    let (pages, rows) = cost(&session, "newest", &format!("({newest})")).await?;
    assert!(rows == 112 && pages <= 40, "{pages} pages for {rows} orders of two customers");

    let request = async || get("/customers/customer-7/orders?placed_from=2020-01-01T00:00:00Z").await;
    let many = "ARRAY['customer-7', 'whale'], ARRAY[11, 101], ARRAY['infinity', '2022-01-01']::timestamptz[],
                ARRAY['ffffffff-ffff-ffff-ffff-ffffffffffff', '00000000-0000-0000-0000-000000000000']::uuid[],
                ARRAY['-infinity', '2021-01-01']::timestamptz[]";
    check(&session, "pages", "text[], bigint[], timestamptz[], uuid[], timestamptz[]", request, many).await?;
    let (pages, rows) = cost(&session, "pages", &format!("({many})")).await?;
    assert!(rows == 112 && pages <= 40, "{pages} pages for {rows} orders of two customers");

    let request = async || get("/customers/customer-7/orders?status=paid").await;
    let paid =
        "'customer-7', '2023-01-01', '00000000-0000-0000-0000-000000000000', '-infinity', ARRAY['paid'], 11";
    check(&session, "page_by_status", "text, timestamptz, uuid, timestamptz, text[], bigint", request, paid)
        .await?;
    let (pages, rows) = cost(&session, "page_by_status", &format!("({paid})")).await?;
    assert!(rows <= 11 && pages <= 40, "{pages} pages for {rows} orders of one status");

    check_page_of_all(&session, async || get("/orders?status=cancelled").await).await?;

    // The id of order 1: md5('1').
    let request = async || get("/orders/c4ca4238-a0b9-2382-0dcc-509a6f75849b").await;
    expect_run(&session, "find", request).await?;
    check_find(&session).await?;

    let wait_for = async |path: &str| {
        let request = reqwest::Client::new().get(format!("{}{path}", api.url)).header("prefer", "wait=1");
        assert_eq!(request.send().await?.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        Ok(())
    };
    let request = async || wait_for("/orders/c4ca4238-a0b9-2382-0dcc-509a6f75849b?min_version=9").await;
    let wanted = "ARRAY[md5('1'), md5('2'), md5('3')]::uuid[], ARRAY[9, 1, 1], ARRAY[NULL, 'nobody', 'customer-23757']";
    check(&session, "reached", "uuid[], int[], text[]", request, wanted).await?;
    let (pages, rows) = cost(&session, "reached", &format!("({wanted})")).await?;
    assert!(rows == 1 && pages <= 3 * 5, "{pages} pages for {rows} of three orders");

    let after = async |path: &str| {
        assert_eq!(api.get(path).await?.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        Ok(())
    };
    let request = async || after("/orders?after=c4ca4238-a0b9-2382-0dcc-509a6f75849b:9").await;
    check(&session, "has_version", "uuid, int, text", request, "md5('1')::uuid, 1, NULL").await?;
    let (pages, _) = cost(&session, "has_version", "(md5('1')::uuid, 1, NULL)").await?;
    assert!(pages <= 5, "{pages} pages");

    check_position(&session).await?;

    let snapshot = async |behind| api.watch("customer-7", behind).await?.next().await?.context("no snapshot");
    let request = async || snapshot(None).await.map(drop);
    let last_hundred = "ARRAY[-99, -50], ARRAY[-60, 1000000], ARRAY['customer-7', 'whale'], 1000";
    check(&session, "changes", "bigint[], bigint[], text[], bigint", request, last_hundred).await?;
    let (pages, rows) = cost(&session, "changes", &format!("({last_hundred})")).await?;
    assert!(rows <= 3 && pages <= 20, "{pages} pages for {rows} of a hundred changes");

    let id = snapshot(None).await?.id;
    let request = async || api.watch("customer-7", Some(&id)).await?.next().await.map(drop);
    let missed = "'customer-7', -1999999, 1001";
    check(&session, "changes_of_customer", "text, bigint, bigint", request, missed).await?;
    let (pages, rows) = cost(&session, "changes_of_customer", &format!("({missed})")).await?;
    assert!(rows == 20 && pages <= 40, "{pages} pages for {rows} changes of a customer");

    let checked = "SELECT FROM pg_prepared_statements WHERE name LIKE 'previous%'";
    let checked = session.query(checked, &[]).await?.len();
    // `open_transactions` reads no table.
    assert_eq!(checked + 1, std::fs::read_dir(PREVIOUS)?.count(), "statements of the previous release");
    Ok(())
}
