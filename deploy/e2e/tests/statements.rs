//! Every statement has a form that Citus plans, too: CI has no Citus, so it checks the rules that were found by hand.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

#[path = "statements/rules.rs"]
mod rules;
#[path = "statements/text.rs"]
mod text;

use self::rules::RULES;

/// The first migration that is checked. The functions of earlier ones have been replaced, or were run on Citus as they
/// are.
const FIRST_MIGRATION: &str = "2026-11-29";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sql_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sql_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Each rule that the SQL breaks.
fn broken(sql: &str) -> Vec<&'static str> {
    let words = text::words(sql);
    let statements: Vec<_> = text::statements(&words).collect();
    let rules = RULES.iter().filter(|(_, breaks)| statements.iter().any(|statement| breaks(statement)));
    rules.map(|(rule, _)| *rule).collect()
}

#[test]
fn citus_plans_every_statement() -> Result<()> {
    let root = workspace().canonicalize()?;
    let mut files = Vec::new();
    for service in ["write-api", "read-api", "projector"] {
        files.extend(sql_files(&root.join(service).join("src"))?);
    }
    assert!(files.len() > 100, "{} files", files.len());
    for entry in fs::read_dir(root.join("migrations"))? {
        let dir = entry?.path();
        if dir.is_dir()
            && dir.file_name().is_some_and(|name| name.to_string_lossy().as_ref() >= FIRST_MIGRATION)
        {
            files.push(dir.join("up.sql"));
        }
    }
    let mut offenders = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root)?.display().to_string();
        let rules = broken(&fs::read_to_string(&file)?);
        offenders.extend(rules.into_iter().map(|rule| format!("{name}: {rule}")));
    }
    assert!(offenders.is_empty(), "{}", offenders.join("\n"));
    Ok(())
}

/// Statements that Citus 13.2 refused, each under the rule that it breaks.
const REFUSED: [&str; 9] = [
    "WITH placed AS (INSERT INTO orders (order_id) SELECT order_id FROM unnest($1) AS t (order_id) RETURNING order_id),
     locked AS (SELECT known.ctid FROM orders AS known FOR UPDATE)
     UPDATE orders AS o SET version = 2 FROM locked WHERE o.ctid = locked.ctid",
    "DELETE FROM outbox WHERE id = $1 RETURNING id, statement_timestamp()",
    "UPDATE subscriptions SET next_attempt_at = now() + random() * $1::interval",
    "UPDATE parked_events SET next_attempt_at = now() + failed.retry_in_ms * interval '1 millisecond' FROM failed",
    "UPDATE webhook_endpoints SET hold_until = CASE WHEN failures > 3 THEN now() END WHERE id = $1",
    "UPDATE orders AS o SET write_attempts = ($1 || o.write_attempts)[1:8] WHERE order_id = $2",
    "INSERT INTO parked_events (id, next_attempt_at)
     SELECT coalesce((SELECT min(id) FROM parked_events), id), now() FROM unnest($1) AS t (id)",
    "INSERT INTO webhook_endpoints (slot) SELECT slot FROM generate_series(1, 100) AS slot RETURNING id",
    "SELECT count(*) FROM (SELECT FROM outbox LIMIT 100) AS some",
];

#[test]
fn each_rule_finds_what_was_refused() {
    for ((rule, _), sql) in RULES.iter().zip(REFUSED) {
        assert_eq!(broken(sql), [*rule], "{sql}");
        let in_function = format!("CREATE FUNCTION f() … BEGIN IF true THEN {sql}; END IF; END");
        assert_eq!(broken(&in_function), [*rule], "{sql}");
    }
}

/// Other forms of what was refused.
const REFUSED_TOO: [&str; 13] = [
    "DELETE FROM outbox WHERE id = $1\nReTuRnInG id,\n\tNOW -- when\n()",
    "/* don't */ DELETE FROM outbox WHERE id = $1 RETURNING id, now()",
    "DELETE FROM outbox WHERE kind = 'it''s' RETURNING id, now()",
    "DELETE FROM outbox WHERE id = $1 RETURNING id, CURRENT_TIMESTAMP",
    "DELETE FROM outbox WHERE id = $1 RETURNING to_char(created_at, 'YYYY')",
    "WITH claimed (id, at) AS (DELETE FROM outbox WHERE id = $1 RETURNING id, now()) SELECT * FROM claimed",
    "CREATE FUNCTION f() … BEGIN IF EXISTS (SELECT 1 FROM a) THEN UPDATE t SET x = clock_timestamp(); END IF; END",
    "CREATE FUNCTION f() … BEGIN LOOP INSERT INTO parked_events (id) SELECT id FROM waiting_events; END LOOP; END",
    "UPDATE parked_events SET next_attempt_at = now() + make_interval(secs => failed.seconds) FROM failed",
    "UPDATE parked_events SET next_attempt_at = created_at + (f.n >= 3)::integer * interval '1 s' FROM f",
    "UPDATE webhook_endpoints SET hold_until = CASE WHEN failures > 3 THEN CURRENT_TIMESTAMP END WHERE id = $1",
    "INSERT INTO parked_events (id) (SELECT id FROM waiting_events)",
    "SELECT count(*) FROM (SELECT WHERE true LIMIT 1) AS some",
];

#[test]
fn other_forms_of_what_was_refused_are_found() {
    for sql in REFUSED_TOO {
        assert_eq!(broken(sql).len(), 1, "{sql}: {:?}", broken(sql));
    }
}

#[test]
fn the_rules_know_every_table() -> Result<()> {
    for file in sql_files(&workspace().join("migrations"))? {
        let words = text::words(&fs::read_to_string(&file)?);
        for name in words.windows(3).filter_map(|three| match three {
            [create, table, name] if create == "create" && table == "table" => Some(name),
            _ => None,
        }) {
            assert!(rules::is_known(name), "{}: {name}", file.display());
        }
    }
    Ok(())
}

#[test]
fn comments_and_literals_break_no_rule() {
    let sql = "-- RETURNING now()\nSELECT 'SELECT FROM outbox' FROM orders -- SET a = random()";
    assert_eq!(broken(sql), Vec::<&str>::new());
}
