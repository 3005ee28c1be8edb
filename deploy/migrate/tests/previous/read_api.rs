//! A read-api of the previous release, beside summaries that projectors of both builds have written.

use anyhow::Result;
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;

use crate::{Previous, Rows, value};

/// What every list shows of the two orders, newest first.
const ORDERS: [[&str; 8]; 2] = [
    [
        "00000000-0000-4000-8000-000000000002",
        "900",
        "NULL",
        "placed",
        "2026-11-18 11:06:42+00",
        "1",
        "TEA",
        "1",
    ],
    [
        "00000000-0000-4000-8000-000000000001",
        "5997",
        "EUR",
        "shipped",
        "2026-11-18 11:06:40+00",
        "2",
        "SKU-BLUE",
        "3",
    ],
];

/// What only a detail shows of each.
const FACTS: [[&str; 8]; 2] = [
    ["NULL"; 8],
    [
        r#"[{"sku":"SKU-RED","quantity":2,"price_cents":1999},{"sku":"TEA","quantity":1,"price_cents":1999}]"#,
        "DHL",
        "JD01",
        "NULL",
        "2026-11-18 11:07:40+00",
        "2026-11-18 11:08:40+00",
        "NULL",
        "NULL",
    ],
];

/// One summary with facts, and one from before facts were stored.
async fn store(session: &Client) -> Result<()> {
    session
        .batch_execute(
            r#"INSERT INTO order_summary (order_id, customer_id, total_cents, status, placed_at, item_count,
                   last_item_sku, version, changed_in, currency, items, carrier, tracking_number, paid_at, shipped_at)
               VALUES ('00000000-0000-4000-8000-000000000001', 'alice', 5997, 'shipped', '2026-11-18 11:06:40+00', 2,
                   'SKU-BLUE', 3, pg_current_xact_id()::text::bigint, 'EUR',
                   '[{"sku":"SKU-RED","quantity":2,"price_cents":1999},{"sku":"TEA","quantity":1,"price_cents":1999}]',
                   'DHL', 'JD01', '2026-11-18 11:07:40+00', '2026-11-18 11:08:40+00');
               INSERT INTO order_summary (order_id, customer_id, total_cents, status, placed_at, item_count,
                   last_item_sku, version, changed_in)
               VALUES ('00000000-0000-4000-8000-000000000002', 'alice', 900, 'placed', '2026-11-18 11:06:42+00', 1,
                   'TEA', 1, pg_current_xact_id()::text::bigint)"#,
        )
        .await?;
    Ok(())
}

/// The rows without their first columns.
fn without(first: usize, rows: &Rows) -> Vec<Vec<&str>> {
    rows.iter()
        .map(|row| row.iter().skip(first).map(|value| value.as_deref().unwrap_or("NULL")).collect())
        .collect()
}

async fn connect(database: &TestDatabase) -> Result<Previous> {
    let previous = Previous::connect(database, "read-api").await?;
    previous.session.batch_execute("SET timezone = 'UTC'").await?;
    Ok(previous)
}

#[tokio::test]
async fn its_lists_show_orders_of_both_builds() -> Result<()> {
    let database = TestDatabase::create().await?;
    store(&database.connect().await?).await?;
    let previous = connect(&database).await?;
    let (alice, ten) = ("ARRAY['alice']::text[]", "ARRAY[10]::bigint[]");
    let newest = previous.run("newest", &[("text[]", alice), ("bigint[]", ten)]).await?;
    assert_eq!(without(1, &newest), ORDERS);

    let (last, first) = ("'9999-12-31Z'", "'0001-01-01Z'");
    let highest_id = "'ffffffff-ffff-ffff-ffff-ffffffffffff'";
    let bounds = [last, highest_id, first].map(|bound| format!("ARRAY[{bound}]"));
    let pages = previous
        .run(
            "pages",
            &[
                ("text[]", alice),
                ("bigint[]", ten),
                ("timestamptz[]", &format!("{}::timestamptz[]", bounds[0])),
                ("uuid[]", &format!("{}::uuid[]", bounds[1])),
                ("timestamptz[]", &format!("{}::timestamptz[]", bounds[2])),
            ],
        )
        .await?;
    assert_eq!(without(1, &pages), ORDERS);

    for (statuses, expected) in [("{placed,shipped}", ORDERS.as_slice()), ("{shipped}", &ORDERS[1..])] {
        let statuses = format!("'{statuses}'");
        let parameters = [
            ("text", "'alice'"),
            ("timestamptz", last),
            ("uuid", highest_id),
            ("timestamptz", first),
            ("text[]", &statuses),
            ("bigint", "10"),
        ];
        assert_eq!(without(0, &previous.run("page_by_status", &parameters).await?), expected);
        let of_all = [
            ("text[]", statuses.as_str()),
            ("timestamptz", last),
            ("uuid", highest_id),
            ("timestamptz", first),
            ("bigint", "10"),
        ];
        assert_eq!(without(1, &previous.run("page_of_all", &of_all).await?), expected);
    }
    Ok(())
}

#[tokio::test]
async fn it_finds_orders_of_both_builds() -> Result<()> {
    let database = TestDatabase::create().await?;
    store(&database.connect().await?).await?;
    let previous = connect(&database).await?;
    for (order, facts) in ORDERS.iter().zip(FACTS) {
        let detail = [order.as_slice(), &facts].concat();
        let id = format!("ARRAY['{}']::uuid[]", order[0]);
        let found = previous.run("find", &[("uuid[]", &id)]).await?;
        assert_eq!(without(1, &found), std::slice::from_ref(&detail));
        let (version, anyone) = (format!("ARRAY[{}]", order[7]), "ARRAY[NULL]::text[]");
        let parameters = [("uuid[]", id.as_str()), ("integer[]", &version), ("text[]", anyone)];
        assert_eq!(without(1, &previous.run("reached", &parameters).await?), [detail]);
    }
    Ok(())
}

#[tokio::test]
async fn it_waits_for_versions_of_both_builds() -> Result<()> {
    let database = TestDatabase::create().await?;
    store(&database.connect().await?).await?;
    let previous = connect(&database).await?;
    for order in ORDERS {
        let id = format!("'{}'", order[0]);
        for (more, customer, expected) in
            [(0, "'alice'", "t"), (1, "'alice'", "f"), (0, "'bob'", "f"), (0, "NULL", "t")]
        {
            let version = format!("{} + {more}", order[7]);
            let parameters = [("uuid", id.as_str()), ("integer", &version), ("text", customer)];
            assert_eq!(
                previous.run_for_one("has_version", &parameters).await?,
                [expected],
                "{order:?} {more}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn its_streams_see_changes_of_both_builds() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    store(&session).await?;
    let first = value(&session, "SELECT min(changed_in) FROM order_summary").await?;
    let newest = value(&session, "SELECT max(changed_in) FROM order_summary").await?;
    let previous = connect(&database).await?;

    let parameters = [("text", "'alice'"), ("bigint", first.as_str()), ("bigint", "10")];
    assert_eq!(without(0, &previous.run("changes_of_customer", &parameters).await?), ORDERS);

    let range =
        [first, (newest.parse::<i64>()? + 1).to_string()].map(|xid| format!("ARRAY[{xid}]::bigint[]"));
    let range = [("bigint[]", range[0].as_str()), ("bigint[]", range[1].as_str())];
    let parameters = [range[0], range[1], ("text[]", "ARRAY['alice']"), ("bigint", "10")];
    let mut changes = previous.run("changes", &parameters).await?;
    changes.sort_by(|one, other| other[2].cmp(&one[2]));
    assert_eq!(without(2, &changes), ORDERS);

    assert_eq!(previous.run("open_transactions", &range).await?, Rows::new());
    let position = previous.run("position", &[]).await?;
    let next = (newest.parse::<i64>()? + 1).to_string();
    assert_eq!((position[0].len(), position[0][2].as_deref()), (8, Some(next.as_str())));
    Ok(())
}

#[tokio::test]
async fn its_lists_are_still_answered_from_an_index() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    session
        .batch_execute(
            "INSERT INTO order_summary (order_id, customer_id, total_cents, status, placed_at, item_count,
                 last_item_sku, version, changed_in)
             SELECT gen_random_uuid(), 'c' || number % 100, 1, 'placed', now(), 1, 'sku', 1, 1
             FROM generate_series(1, 10000) AS number",
        )
        .await?;
    session.batch_execute("VACUUM ANALYZE order_summary").await?;
    let text = std::fs::read_to_string(crate::folder("read-api").join("newest.sql"))?;
    session.batch_execute(&format!("PREPARE newest (text[], bigint[]) AS {text}")).await?;
    let explain = "EXPLAIN (COSTS off) EXECUTE newest ('{c7}', '{20}')";
    let plan: Vec<_> = session
        .simple_query(explain)
        .await?
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Only Scan using order_summary_of_customer"), "{plan}");
    assert!(!plan.contains("Sort"), "{plan}");
    Ok(())
}
