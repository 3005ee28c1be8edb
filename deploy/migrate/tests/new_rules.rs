//! Rules added after orders were stored: counted, added, then validated, while orders are placed.

use anyhow::{Context, Result};
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const ADD: &str = "2026-11-25-000600_limit_totals_and_customer_ids";
const VALIDATE: &str = "2026-11-25-000610_validate_totals_and_customer_ids";

/// A database without `migration` and later ones.
async fn before(migration: &str) -> Result<(TestDatabase, Client)> {
    let database = TestDatabase::create().await?;
    while migrate::down(&database.superuser_url(), 1).await?.first().context("no such migration")?.name
        != migration
    {}
    let session = database.connect().await?;
    Ok((database, session))
}

async fn insert(session: &Client, customer: &str, total: i64) -> Result<(), tokio_postgres::Error> {
    let insert = "INSERT INTO orders VALUES (gen_random_uuid(), $1, '[{}]', $2, 'placed', 1, now(), now())";
    session.execute(insert, &[&customer, &total]).await.map(drop)
}

/// The constraint's name, and whether it is validated.
async fn rules(session: &Client) -> Result<Vec<(String, bool)>> {
    let rules = "SELECT conname::text, convalidated FROM pg_constraint
                 WHERE conname IN ('orders_total_exact', 'orders_customer_id_addressable') ORDER BY 1";
    Ok(session.query(rules, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The query in migrations/README.md that finds the orders that break the rule.
fn documented_query() -> Result<&'static str> {
    const DOCUMENTED: &str = include_str!("../../../migrations/README.md");
    let query = DOCUMENTED.split("```sql\n").find(|block| block.starts_with("SELECT order_id, customer_id"));
    query.and_then(|block| block.split("```").next()).context("no query")
}

#[tokio::test]
async fn orders_that_break_a_new_rule_are_counted_and_stop_the_migration() -> Result<()> {
    let (database, session) = before(ADD).await?;
    for (customer, total) in [
        ("alice", 9_007_199_254_740_991),
        ("a b", 0),
        ("alice", 9_007_199_254_740_992),
        ("alice", i64::MAX),
        (".", 1),
        ("..", 1),
        (" alice", i64::MAX),
        ("alice\u{2003}", 1),
        ("\u{3000}", 1),
    ] {
        insert(&session, customer, total).await?;
    }
    let error = migrate::up(&database.superuser_url()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("migration {ADD} failed"));
    let why = service_kit::telemetry::chain(&error);
    assert!(why.contains("3 orders have a total above 9007199254740991 cents, 5 a customer id"), "{why}");
    assert_eq!(rules(&session).await?, [], "nothing was added");

    let found = session.query(documented_query()?, &[]).await?;
    assert_eq!(found.len(), 7, "one order breaks both rules");
    // As migrations/README.md says.
    session
        .batch_execute(
            "UPDATE orders SET customer_id = btrim(customer_id, E' \\u2003') WHERE customer_id <> E'\\u3000';
             DELETE FROM orders WHERE total_cents > 9007199254740991 OR customer_id IN ('.', '..', E'\\u3000')",
        )
        .await?;
    migrate::up(&database.superuser_url()).await?;
    let validated = [("orders_customer_id_addressable", true), ("orders_total_exact", true)];
    assert_eq!(rules(&session).await?, validated.map(|(name, is_valid)| (name.to_owned(), is_valid)));
    Ok(())
}

#[tokio::test]
async fn rules_are_validated_while_orders_are_placed() -> Result<()> {
    for validate in [VALIDATE, "2026-11-26-000110_validate_the_facts_of_an_order"] {
        let (database, mut session) = before(validate).await?;
        let not_validated = "SELECT conname::text FROM pg_constraint WHERE NOT convalidated";
        let added = session.query(not_validated, &[]).await?;
        assert!(!added.is_empty(), "{validate}");
        let placing = session.transaction().await?;
        placing
            .execute(
                "INSERT INTO orders VALUES (gen_random_uuid(), 'c', '[{}]', 1, 'placed', 1, now(), now())",
                &[],
            )
            .await?;
        // A later migration may need a lock that the insert does not leave.
        let _a_later_migration_may_fail = migrate::up(&database.superuser_url()).await;
        let validated = "SELECT conname::text FROM pg_constraint WHERE convalidated";
        let validated: Vec<String> =
            placing.query(validated, &[]).await?.iter().map(|row| row.get(0)).collect();
        placing.commit().await?;
        for rule in added.iter().map(|row| row.get::<_, &str>(0)) {
            assert!(validated.iter().any(|name| name == rule), "{validate}: {rule}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_migration_waits_long_for_a_lock() -> Result<()> {
    for (migration, table) in [
        ("2026-11-25-000400_refuse_times_that_no_program_reads", "outbox"),
        ("2026-11-25-000500_remember_which_attempts_changed_an_order", "orders"),
        (ADD, "orders"),
        ("2026-11-25-000700_say_in_which_history_a_summary_was_written", "order_summary"),
        ("2026-11-26-000100_keep_the_facts_of_an_order", "orders"),
        ("2026-11-26-000200_add_the_facts_to_order_summary", "order_summary"),
    ] {
        let (database, mut session) = before(migration).await?;
        let in_flight = session.transaction().await?;
        in_flight.batch_execute(&format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE")).await?;
        let start = std::time::Instant::now();
        let error = migrate::up(&database.superuser_url()).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("migration {migration} failed (")), "{error}");
        assert!(service_kit::telemetry::chain(&error).contains("lock timeout"), "{error:?}");
        // The migrator's own limit is 5 s.
        assert!(start.elapsed() < std::time::Duration::from_secs(4), "{migration}: {:?}", start.elapsed());
        in_flight.rollback().await?;
        migrate::up(&database.superuser_url()).await?;
    }
    Ok(())
}

/// The write side uses Rust's definition of white space; the CHECK has a list.
#[tokio::test]
async fn white_space_is_the_same_for_the_constraint_and_for_rust() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let mut refused = 0;
    for character in ('\u{1}'..=char::MAX).filter(|character| character.is_whitespace()) {
        for customer in [format!("{character}c"), format!("c{character}"), character.to_string()] {
            let error = insert(&session, &customer, 1).await.err().context(format!("{customer:?}"))?;
            assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{customer:?}");
            refused += 1;
        }
        insert(&session, &format!("c{character}c"), 1).await?;
    }
    assert_eq!(refused, 3 * 25, "Unicode has 25 characters of white space");
    // Not white space: zero-width characters, an invisible separator, a letter.
    for other in ['\u{180e}', '\u{200b}', '\u{2060}', '\u{feff}', '\u{2800}', 'é'] {
        insert(&session, &format!("{other}c{other}"), 1).await?;
    }
    Ok(())
}
