//! The functions of the event log work the same in each session, and in each schema.

use anyhow::{Context, Result, ensure};
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use migrate::MIGRATIONS;
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;

use testkit::owned_database::{OwnedDatabase, connect};

const MIGRATION: &str = "2026-11-27-000300_let_the_event_log_depend_on_no_session";

/// Time zones at both ends of the date line and in between, and abbreviations that PostgreSQL reads as other zones: IST
/// as that of Israel.
const SESSIONS: [(&str, &str); 6] = [
    ("UTC", "ISO, YMD"),
    ("Pacific/Kiritimati", "ISO, MDY"),
    ("Pacific/Pago_Pago", "Postgres, DMY"),
    ("Asia/Kolkata", "SQL, DMY"),
    ("Asia/Kolkata", "Postgres, MDY"),
    ("America/St_Johns", "German, DMY"),
];

async fn set(session: &Client, (zone, style): (&str, &str)) -> Result<()> {
    Ok(session.batch_execute(&format!("SET TimeZone = '{zone}'; SET DateStyle = '{style}'")).await?)
}

/// Partitions whose bounds are not the day in their name, in UTC; and how many there are.
async fn wrong_partitions(session: &Client) -> Result<(Vec<String>, i64)> {
    session.batch_execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'").await?;
    let row = session
        .query_one(
            "SELECT coalesce(array_agg(relname || ' ' || bounds) FILTER (WHERE bounds <> format(
                    'FOR VALUES FROM (''%s 00:00:00+00'') TO (''%s 00:00:00+00'')', day, day + 1
                )), '{}'), count(*)
            FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            CROSS JOIN LATERAL to_date(right(relname, 8), 'YYYYMMDD') AS day
            CROSS JOIN LATERAL pg_get_expr(relpartbound, pg_class.oid) AS bounds
            WHERE inhparent = 'event_log'::regclass",
            &[],
        )
        .await?;
    Ok((row.get(0), row.get(1)))
}

/// Drops the partitions, as the owner.
const DROP_ALL: &str = "DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'event_log'::regclass LOOP
        EXECUTE format('DROP TABLE %s', partition);
    END LOOP;
END
$$";

#[tokio::test]
async fn partitions_are_days_in_utc_whatever_the_session_has_set() -> Result<()> {
    let database = TestDatabase::create().await?;
    let owner = database.connect().await?;
    for settings in SESSIONS {
        owner.batch_execute(DROP_ALL).await?;
        let projector = database.connect_as("orders_projector").await?;
        set(&projector, settings).await?;
        let made = projector.query_one("SELECT create_event_log_partitions()", &[]).await?;
        assert_eq!(made.get::<_, i32>(0), 9, "{settings:?}");
        assert_eq!(wrong_partitions(&owner).await?, (vec![], 9), "{settings:?}");

        // The last moment of the UTC day, and the first one of the next.
        set(&owner, settings).await?;
        let rows = owner
            .query(
                "INSERT INTO event_log (position, kind, payload, recorded_at)
                SELECT row_number() OVER (ORDER BY ahead), 'k', '{}',
                    ((now() AT TIME ZONE 'UTC')::date + 1)::timestamp AT TIME ZONE 'UTC' + ahead
                FROM (VALUES (interval '-1 microsecond'), (interval '0')) AS moment (ahead)
                RETURNING to_date(right(tableoid::regclass::text, 8), 'YYYYMMDD')
                    - (now() AT TIME ZONE 'UTC')::date",
                &[],
            )
            .await?;
        let days: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(days, [0, 1], "{settings:?}");
    }
    Ok(())
}

/// The local date of these sessions is the next or the previous one for most hours of the day.
#[tokio::test]
async fn partitions_expire_by_the_date_in_utc() -> Result<()> {
    let database = TestDatabase::create().await?;
    let owner = database.connect().await?;
    for settings in SESSIONS {
        owner
            .batch_execute(
                "DO $$
                DECLARE
                    day date;
                BEGIN
                    SET LOCAL TimeZone = 'UTC';
                    FOR day IN SELECT (now() AT TIME ZONE 'UTC')::date - ago FROM generate_series(7, 8) AS ago LOOP
                        EXECUTE format(
                            'CREATE TABLE IF NOT EXISTS %I PARTITION OF event_log FOR VALUES FROM (%L) TO (%L)',
                            'event_log_' || to_char(day, 'YYYYMMDD'), day, day + 1);
                    END LOOP;
                    UPDATE event_log_state SET missing_since = '2020-01-01', drop_tried_at = NULL;
                END
                $$",
            )
            .await?;
        let projector = database.connect_as("orders_projector").await?;
        set(&projector, settings).await?;
        let dropped = projector.query_one("SELECT drop_expired_event_log_partition()", &[]).await?;
        assert_eq!(dropped.get::<_, i32>(0), 1, "{settings:?}");
        owner.batch_execute("UPDATE event_log_state SET drop_tried_at = NULL").await?;
        let dropped = projector.query_one("SELECT drop_expired_event_log_partition()", &[]).await?;
        assert_eq!(dropped.get::<_, i32>(0), 0, "{settings:?}: kept for seven days");
    }
    Ok(())
}

/// The steps that migrations/README.md documents.
async fn move_to_schema(owned: &OwnedDatabase, schema: &str) -> Result<String> {
    migrate::up(&owned.url()).await?;
    let known: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().map_err(|error| anyhow::anyhow!("{error}"))?;
    let steps = known.iter().filter(|one| one.name().to_string().as_str() >= MIGRATION).count();
    migrate::down(&owned.url(), steps).await?;
    let quoted = schema.replace('"', "\"\"");
    owned
        .superuser
        .batch_execute(&format!(
            "ALTER SCHEMA public RENAME TO \"{quoted}\"; ALTER SCHEMA \"{quoted}\" OWNER TO orders_owner;
            CREATE SCHEMA public; REVOKE ALL ON SCHEMA public FROM PUBLIC"
        ))
        .await?;
    let path: Vec<_> = format!("\"{quoted}\"").bytes().map(|byte| format!("%{byte:02x}")).collect();
    Ok(format!("{}%20-c%20search_path%3D{}", owned.url(), path.concat()))
}

/// The owner's URL, for another role.
fn url_for(role: &str, url: &str) -> String {
    url.replace("orders_migrate", role).replace("-c%20role%3Dorders_owner%20", "")
}

/// It sees an event of its schema.
async fn check_scaler(owner: &Client, scaler: &Client) -> Result<()> {
    owner
        .batch_execute("INSERT INTO outbox (kind, payload, created_at) VALUES ('k', '{}', '2020-01-01')")
        .await?;
    let age: f64 = scaler.query_one("SELECT oldest_event_seconds()", &[]).await?.get(0);
    ensure!(age > 86_400.0, "{age}");
    Ok(())
}

#[tokio::test]
async fn the_event_log_works_in_another_schema() -> Result<()> {
    for schema in ["orders", "Or'd%I\"ers"] {
        let owned = OwnedDatabase::create().await?;
        let url = move_to_schema(&owned, schema).await?;
        assert_eq!(migrate::up(&url).await?.first().map(|step| step.name.as_str()), Some(MIGRATION));
        let session = connect(&url).await?;
        session.batch_execute(DROP_ALL).await?;

        let projector = connect(&url_for("orders_projector", &url)).await?;
        let upkeep = "SELECT create_event_log_partitions(), drop_expired_event_log_partition()";
        let done = projector.query_one(upkeep, &[]).await?;
        assert_eq!((done.get::<_, i32>(0), done.get::<_, i32>(1)), (9, 0), "{schema}");
        assert_eq!(wrong_partitions(&session).await?, (vec![], 9), "{schema}");
        projector
            .batch_execute("SELECT set_event_log_retention(0); SELECT set_event_log_retention(7)")
            .await?;

        // The second one was used before: it gets a new position.
        session.batch_execute("INSERT INTO outbox (kind, payload) VALUES ('k', '{}')").await?;
        projector.batch_execute("DELETE FROM outbox").await?;
        let again = "INSERT INTO outbox (id, kind, payload) OVERRIDING SYSTEM VALUE VALUES (1, 'k', '{}')";
        session.batch_execute(again).await?;
        projector.batch_execute("DELETE FROM outbox").await?;
        let logged = projector.query("SELECT position FROM event_log ORDER BY position", &[]).await?;
        let logged: Vec<i64> = logged.iter().map(|row| row.get(0)).collect();
        assert_eq!(logged, [1, 2], "{schema}");
        check_scaler(&session, &connect(&url_for("orders_scaler", &url)).await?).await.context(schema)?;
        let report = migrate::doctor(&url).await?;
        ensure!(!report.has_errors(), "{schema}: {report}");
        // The way back, and up again.
        let reverted = migrate::down(&url, 1).await?;
        assert_eq!(migrate::up(&url).await?.len(), reverted.len());
        session.batch_execute("SELECT create_event_log_partitions()").await.context(schema)?;
    }
    Ok(())
}
