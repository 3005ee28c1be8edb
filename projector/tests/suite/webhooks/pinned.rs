//! A transaction elsewhere keeps PostgreSQL from removing dead rows.

use anyhow::{Context, Result, ensure};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use projector::webhooks::delivery::{self, Backlogs};
use projector::webhooks::store;

use super::clock::LATEST;
use super::support::{LIMITS, add};
use crate::support::Scene;

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
    line: String,
}

/// How many pages the prepared statement `name` reads.
async fn pages(connection: &mut AsyncPgConnection, name: &str, arguments: &str) -> Result<u64> {
    #[derive(diesel::QueryableByName)]
    struct Name {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    let query = format!(
        "SELECT name FROM pg_prepared_statements WHERE split_part(statement, E'\\n', 1) = '-- {name}'"
    );
    let Name { name: prepared } = diesel::sql_query(query).get_result(connection).await?;
    let explain =
        format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) EXECUTE {prepared}({arguments})");
    let plan: Vec<Line> = diesel::sql_query(explain).load(connection).await?;
    // The first line with buffers has those of the whole statement.
    let buffers = plan.iter().find(|line| line.line.contains("Buffers: shared")).context("no buffers")?;
    let numbers = buffers.line.split([' ', ',']).filter_map(|part| {
        let (what, number) = part.split_once('=')?;
        ["hit", "read"].contains(&what).then(|| number.parse::<u64>().ok())?
    });
    Ok(numbers.sum())
}

#[tokio::test]
async fn deliveries_that_are_done_cost_nothing_while_their_dead_rows_stay() -> Result<()> {
    let scene = Scene::create().await?;
    let database = scene.open_one()?;
    let reader = scene.open()?;
    let mut reader = reader.session().await?;
    diesel_async::SimpleAsyncConnection::batch_execute(
        &mut *reader,
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM deliveries",
    )
    .await?;
    let mut connection = database.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    // An hour ago: added, leased and delivered.
    let done = format!(
        "INSERT INTO deliveries (endpoint, position, order_id, event_id, kind, payload, occurred_at, recorded_at,
             next_attempt_at)
         SELECT {id}, number, gen_random_uuid(), gen_random_uuid(), 'order_paid', '{{}}', now(), now(),
             now() - interval '1 hour' + number * interval '100 ms'
         FROM generate_series(1, 20000) AS number;
         UPDATE deliveries SET next_attempt_at = next_attempt_at + interval '15 s', leased_until = next_attempt_at;
         DELETE FROM deliveries"
    );
    scene.session.batch_execute(&done).await?;
    let waiting = format!(
        "INSERT INTO deliveries (endpoint, position, order_id, event_id, kind, payload, occurred_at, recorded_at)
         SELECT {id}, 30000 + number, gen_random_uuid(), gen_random_uuid(), 'order_paid', '{{}}', now(), now()
         FROM generate_series(1, 3) AS number"
    );
    scene.session.batch_execute(&waiting).await?;

    let backlogs = Backlogs::default();
    store::settle(&mut connection, &backlogs).await?;
    store::poll(&mut connection, &backlogs).await?;
    store::observe(&mut connection, &backlogs).await?;
    delivery::rooms(&mut connection, &[id], &backlogs).await?;
    delivery::take(&mut connection, id, LIMITS, &backlogs).await?;
    store::line_up(&mut connection, id, &backlogs).await?;
    store::correct_times(&mut connection, id, LATEST).await?;
    let floor = backlogs.floor(id).to_rfc3339();
    for (floor, is_known) in [(floor.as_str(), true), ("-infinity", false)] {
        // It needs no floor: it begins in the future.
        let latest = if is_known { LATEST.due_in.as_millis().to_string() } else { "-7200000".to_owned() };
        let floors = format!("ARRAY[{id}]::bigint[], ARRAY['{floor}']::timestamptz[]");
        for (name, arguments) in [
            ("poll_endpoints", floors.clone()),
            ("observe_endpoints", floors.clone()),
            ("rooms", format!("{floors}, ARRAY[false], 1000, 10")),
            ("take", format!("{id}, '{floor}', false, 8, 8, 1000, 1000")),
            ("line_up", format!("{id}, '{floor}'")),
            ("correct_deliveries", format!("{id}, {latest}, {latest}")),
        ] {
            scene
                .session
                .batch_execute("UPDATE deliveries SET next_attempt_at = now(), leased_until = NULL")
                .await?;
            let read = pages(&mut connection, name, &arguments).await?;
            ensure!(if is_known { read < 90 } else { read > 300 }, "{name} from {floor}: {read} pages");
        }
    }
    Ok(())
}
