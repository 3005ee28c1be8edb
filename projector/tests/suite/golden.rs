//! The plans of the hot statements: by index or ctid, whatever the statistics say.

use std::time::Duration;

use anyhow::{Result, ensure};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use projector::event_log::{self, ReadLimits};
use projector::outbox::ClaimLimits;
use projector::outbox::low_water_mark::queries;
use projector::parked::operator::{self, Owner, Selection};
use projector::projection::{OrderSummary, Projection};
use projector::waiting;
use projector::waiting::Window;
use testkit::golden::Golden;
use testkit::wait;

use crate::support::{AT_ONCE, Scene, Worker, drain, event};

const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));

#[derive(diesel::QueryableByName)]
struct Prepared {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

#[derive(diesel::QueryableByName)]
struct Major {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    major: i32,
}

#[derive(diesel::QueryableByName)]
struct PlanLine {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
    line: String,
}

/// Compares the plan of the prepared statement `name` with the committed one.
pub(crate) async fn check(connection: &mut AsyncPgConnection, name: &str, arguments: &str) -> Result<()> {
    let query = format!(
        "SELECT name FROM pg_prepared_statements WHERE split_part(statement, E'\\n', 1) = '-- {name}'"
    );
    let prepared: Prepared = diesel::sql_query(query).get_result(connection).await?;
    let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {}{arguments}", prepared.name);
    let plan: Vec<PlanLine> = diesel::sql_query(explain).load(connection).await?;
    let plan = one_partition(plan.into_iter().map(|row| without_day(&row.line)));
    // A merge has a sort key and sorts nothing. `event_log_state` has one row.
    let is_bad = |line: &String| {
        ["Seq Scan", "Sort", "Bitmap"].iter().any(|node| line.contains(node))
            && !line.contains("Sort Key")
            && !line.ends_with("Seq Scan on event_log_state log")
    };
    assert!(!plan.iter().any(is_bad), "{name}: {plan:#?}");
    let major: Major =
        diesel::sql_query("SELECT current_setting('server_version_num')::int / 10000 AS major")
            .get_result(connection)
            .await?;
    Ok(GOLDEN.compare_plan(&format!("{name}.plan"), &plan.join("\n"), major.major)?)
}

/// A line without the day of a partition of the event log, and without the number of its alias.
fn without_day(line: &str) -> String {
    let mut parts = line.split("event_log_");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| {
        line + "event_log_" + part.trim_start_matches(|digit: char| digit.is_ascii_digit())
    })
}

/// The plan with one of the partitions: each has the same two lines.
fn one_partition(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut plan: Vec<String> = Vec::new();
    for line in lines {
        plan.push(line);
        if let [.., a, b, c, d] = plan.as_slice()
            && (a, b) == (c, d)
        {
            plan.truncate(plan.len() - 2);
        }
    }
    plan
}

/// The arguments of a statement with one array per column.
pub(crate) fn arrays(elements: &[&str]) -> String {
    elements.iter().map(|element| format!("ARRAY[]::{element}[]")).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn the_plans_of_the_hot_statements_match_the_golden_files_and_scan_no_table() -> Result<()> {
    let scene = Scene::create().await?;
    let database = scene.open_one()?;
    scene.emit([event(1, 1)]).await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    let worker = Worker::with_retries(database.clone(), projector::projections(), 10, AT_ONCE);
    drain(&worker).await?;
    worker.retry_once().await?;

    let mut connection = database.session().await?;
    // The generic plan, made when nothing favours an index: the statistics say that the tables are empty. The outbox
    // has pages that were in use, as between two backlogs, so that reading and sorting the whole table seems cheapest.
    scene.session.batch_execute("TRUNCATE outbox, parked_events, order_summary").await?;
    let backlog =
        "INSERT INTO outbox (kind, payload) SELECT 'order_paid', '{}' FROM generate_series(1, 10000)";
    scene.session.batch_execute(backlog).await?;
    scene.session.batch_execute("ANALYZE outbox").await?;
    scene.session.batch_execute("DELETE FROM outbox").await?;
    // VACUUM skips a table while autovacuum works on it.
    wait::until("the statistics to say that the outbox is empty", Duration::from_secs(20), async || {
        scene.session.batch_execute("VACUUM ANALYZE").await?;
        let known = "SELECT relpages > 0 AND reltuples = 0 FROM pg_class WHERE oid = 'outbox'::regclass";
        let is_known: bool = scene.session.query_one(known, &[]).await?.get(0);
        ensure!(is_known, "they do not");
        anyhow::Ok(())
    })
    .await?;
    connection.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
    check(&mut connection, "claim_events", "1000, 1000, 1, 1000").await?;
    check(&mut connection, "claim_parked", "100, 1000, 120000").await?;
    let columns = ["bigint", "int", "text", "bigint", "text", "text", "timestamptz", "text"];
    check(&mut connection, "park", &arrays(&columns)).await?;
    check(&mut connection, "park_again", &arrays(&columns[..4])).await?;
    queries::scan(&mut connection, 1..2, 1).await?;
    check(&mut connection, "scan_ids", "1, 2, 1").await?;
    waiting::window(&mut connection, 1, 1).await?;
    check(&mut connection, "waiting_window", &format!("1, {}", waiting::WINDOW)).await?;
    let (window, limits) =
        (Window { after: 1, up_to: 2, events: 1, newest: 2 }, ClaimLimits { events: 1, bytes: 1 });
    waiting::claim_unlocked(&mut connection, window, limits).await?;
    let arguments = "1, 2, 1000, 1000000";
    check(&mut connection, "claim_unlocked", arguments).await?;
    waiting::claim_without_row(&mut connection, window, limits).await?;
    check(&mut connection, "claim_without_row", arguments).await?;
    waiting::is_any(&mut connection).await?;
    check(&mut connection, "is_any_waiting", "").await?;
    waiting::set_aside(&mut connection, &[]).await?;
    let columns = ["bigint", "uuid", "int", "text", "text", "timestamptz", "text"];
    check(&mut connection, "set_aside", &arrays(&columns)).await?;
    waiting::remove(&mut connection, &[1]).await?;
    check(&mut connection, "remove_waiting", "ARRAY[]::bigint[]").await?;
    event_log::read(&mut connection, 1, ReadLimits { events: 1, bytes: 1 }).await?;
    check(&mut connection, "read_log", "1, 1000, 1000000, 1").await?;
    OrderSummary.lock_rows(&mut connection, &[&event(1, 1)]).await?;
    check(&mut connection, "lock_rows", "ARRAY[]::uuid[]").await?;
    let state = ["uuid", "text", "bigint", "text", "timestamptz", "int", "text", "int"];
    let facts = ["text", "json", "text", "text", "text"];
    let times = ["timestamptz"; 4];
    let columns = [state.as_slice(), facts.as_slice(), times.as_slice()].concat();
    check(&mut connection, "order_summary", &arrays(&columns)).await
}

/// An operator's command is planned when it runs, whatever the table has then.
#[tokio::test]
async fn the_plans_of_operators_commands_search_parked_events_by_id() -> Result<()> {
    let scene = Scene::create().await?;
    let many = "INSERT INTO parked_events (id, kind, payload, created_at, attempts, error)
                SELECT id, 'kind', '{}', now(), 1, 'e' FROM generate_series(1, 10000) AS id";
    scene.session.batch_execute(many).await?;
    scene.session.batch_execute("ANALYZE parked_events").await?;
    let database = scene.open_one()?;
    let mut connection = database.session().await?;
    let ids = Selection::Ids(vec![2, 1, 20_000]);
    let found = operator::find(&mut connection, &Owner::Claim, &ids).await?;
    assert_eq!(found.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(operator::make_due(&mut connection, &Owner::Claim, &ids).await?.len(), 2);
    assert_eq!(operator::discard(&mut connection, &Owner::Claim, &ids).await?.len(), 2);
    connection.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
    for name in ["find_of_claim", "make_due_of_claim", "discard_of_claim"] {
        check(&mut connection, name, "ARRAY[]::bigint[]").await?;
    }
    let all = operator::find(&mut connection, &Owner::Claim, &Selection::All).await?;
    assert_eq!((all.len(), all[0].id), (9_998, 3));
    assert_eq!(operator::make_due(&mut connection, &Owner::Claim, &Selection::All).await?.len(), 9_998);
    assert_eq!(operator::discard(&mut connection, &Owner::Claim, &Selection::All).await?.len(), 9_998);
    Ok(())
}
