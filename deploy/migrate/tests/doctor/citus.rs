//! What is found where Citus has distributed the schema, with catalogs like those of Citus.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use migrate::{Finding, Level, doctor};
use testkit::citus_catalogs;
use testkit::owned_database::OwnedDatabase;

use crate::healthy;

/// As seen by a superuser, who may read `pg_hba.conf`.
async fn found(owned: &OwnedDatabase) -> Result<Vec<Finding>> {
    let report = doctor(&owned.server.superuser_url("orders")).await?;
    Ok(report.findings.into_iter().filter(|one| one.check == "citus").collect())
}

/// A database on a fenced node, and its `pg_hba.conf`. The server never reads that again.
async fn on_citus() -> Result<(OwnedDatabase, PathBuf)> {
    let owned = healthy().await?;
    citus_catalogs::create(&owned.superuser).await?;
    let file: String = owned.superuser.query_one("SHOW hba_file", &[]).await?.get(0);
    fs::write(&file, "")?;
    assert_eq!(found(&owned).await?, [], "on the owner, which rejects all");
    Ok((owned, file.into()))
}

#[tokio::test]
async fn on_another_node_than_the_owner_it_names_the_owner() -> Result<()> {
    let (owned, _) = on_citus().await?;
    for (group, level, finding) in [
        (0, Level::Hint, "node-1.example:5432 owns the schema public; this is the coordinator"),
        (
            2,
            Level::Error,
            "this node does not own the schema public: processes that use it get wrong answers",
        ),
    ] {
        let here = format!("UPDATE pg_dist_local_group SET groupid = {group}");
        owned.superuser.batch_execute(&here).await?;
        let found = found(&owned).await?;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].level, level);
        assert!(found[0].finding.starts_with(finding), "{found:?}");
        assert!(found[0].remedy.contains("name node-1.example:5432"), "{found:?}");
    }
    // The coordinator may own it as well; a schema that is not distributed is where it was made.
    owned.superuser.batch_execute("UPDATE pg_dist_placement SET groupid = 2").await?;
    assert_eq!(found(&owned).await?, []);
    owned
        .superuser
        .batch_execute("UPDATE pg_dist_placement SET groupid = 1; TRUNCATE pg_dist_schema")
        .await?;
    assert_eq!(found(&owned).await?, []);
    Ok(())
}

#[tokio::test]
async fn grants_that_other_nodes_lack() -> Result<()> {
    let (owned, _) = on_citus().await?;
    owned.superuser.batch_execute("UPDATE pg_dist_local_group SET groupid = 0").await?;
    for (grant, object) in [
        ("SELECT ON SEQUENCE", "outbox_id_seq TO orders_projection"),
        ("EXECUTE ON FUNCTION", "oldest_event_seconds() TO orders_scaling"),
    ] {
        owned
            .superuser
            .batch_execute(&format!("REVOKE {grant} {}", object.replace(" TO ", " FROM ")))
            .await?;
        let found = found(&owned).await?;
        let finding = format!(
            "missing on node-1.example:5432 (owns the schema), node-2.example:5432: {grant} public.{object}"
        );
        assert_eq!((found[0].level, &found[0].finding), (Level::Error, &finding), "{found:?}");
        let remedy = format!("SELECT * FROM run_command_on_all_nodes('GRANT {grant} public.{object}')");
        assert_eq!(found[0].remedy, remedy);
        owned.superuser.batch_execute(&remedy).await?;
    }
    assert_eq!(found(&owned).await?.len(), 1, "the owner is named");

    owned.superuser.batch_execute("UPDATE pg_dist_placement SET groupid = 0").await?;
    owned.superuser.batch_execute("REVOKE ALL ON SEQUENCE outbox_id_seq FROM orders_projection").await?;
    let found = found(&owned).await?;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].level, Level::Warning, "neither node owns the schema: {found:?}");
    Ok(())
}

/// What a `pg_hba.conf` does to the product's logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fence {
    Rejects,
    Accepts,
    Unknown,
}

const RULES: &[(&str, Fence)] = &[
    ("", Fence::Rejects),
    ("host all all all trust", Fence::Accepts),
    ("host all all 10.0.0.0/24 reject\nhost all all all trust", Fence::Rejects),
    ("host all all all trust\nhost all all 10.0.0.0/24 reject", Fence::Accepts),
    ("host all all 10.0.0.1/32 reject\nhost all all all trust", Fence::Accepts),
    ("host orders all 10.0.0.0 255.255.255.0 reject\nhost all all all trust", Fence::Rejects),
    ("host others,sameuser all all reject\nhost all all all trust", Fence::Accepts),
    (
        "host all +orders_write,+orders_projection,+orders_read all reject\nhost all all all trust",
        Fence::Rejects,
    ),
    ("host all +orders_write,+orders_read all reject\nhost all all all trust", Fence::Accepts),
    ("host all orders_owner,postgres all trust", Fence::Rejects),
    ("local all all reject\nhost all all all trust", Fence::Accepts),
    ("hostssl all all all reject\nhost all all all trust", Fence::Accepts),
    ("hostnossl all all all reject\nhost all all all trust", Fence::Rejects),
    ("host all all ::/0 reject\nhost all all all trust", Fence::Accepts),
    ("host all all samenet reject\nhost all all all trust", Fence::Unknown),
    ("host all all samenet reject", Fence::Rejects),
    ("host all all app.example trust", Fence::Unknown),
    ("host all all app.example trust\nhost all all all reject", Fence::Unknown),
    ("host all all app.example reject\nhost all all all reject", Fence::Rejects),
    ("host all all app.example trust\nhost all all all trust", Fence::Accepts),
];

fn fence(found: &[Finding]) -> Result<Fence> {
    let [one, two] = found else {
        ensure!(found.is_empty(), "{found:?}");
        return Ok(Fence::Rejects);
    };
    ensure!(one.level == two.level, "{found:?}");
    let is_about = |text: &str| {
        let [first, second] =
            ["node-1", "node-2"].map(|node| text.replace("NODE", &format!("{node}.example:5432")));
        one.finding.starts_with(&first) && two.finding.starts_with(&second)
    };
    if is_about("NODE accepts ") {
        return Ok(Fence::Accepts);
    }
    ensure!(is_about("whether NODE rejects ") && one.level == Level::Hint, "{found:?}");
    Ok(Fence::Unknown)
}

#[tokio::test]
async fn the_first_line_that_matches_decides() -> Result<()> {
    let (owned, file) = on_citus().await?;
    for (rules, expected) in RULES {
        fs::write(&file, rules)?;
        let found = found(&owned).await.with_context(|| (*rules).to_owned())?;
        assert_eq!(fence(&found).with_context(|| (*rules).to_owned())?, *expected, "{rules}");
    }
    let version = owned.superuser.query_one("SELECT current_setting('server_version_num')::integer", &[]);
    let has_patterns = version.await?.get::<_, i32>(0) >= 160_000;
    fs::write(&file, "host /^orders$ /^orders_ all reject\nhost all all all trust")?;
    let expected = if has_patterns { Fence::Rejects } else { Fence::Accepts };
    assert_eq!(fence(&found(&owned).await?)?, expected);
    Ok(())
}

#[tokio::test]
async fn a_missing_fence_is_put_up_by_its_remedy() -> Result<()> {
    let (owned, file) = on_citus().await?;
    owned.superuser.batch_execute("CREATE ROLE spare LOGIN; GRANT orders_read TO spare").await?;
    let rules = "host all orders_write_api,orders_write_api_b all reject\nhost all all all scram-sha-256\n";
    fs::write(&file, rules)?;
    let missing = found(&owned).await?;
    assert_eq!(fence(&missing)?, Fence::Accepts);
    let logins = ["orders_projector", "orders_projector_b", "orders_read_api", "orders_read_api_b", "spare"];
    for one in &missing {
        assert_eq!(one.level, Level::Warning);
        assert!(one.finding.contains(&format!("accepts {} from", logins.join(", "))), "{}", one.finding);
    }
    let lines = missing.iter().flat_map(|one| one.remedy.lines().filter(|line| line.starts_with("host ")));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines[0], format!("host all {} 10.0.0.1/32 reject", logins.join(",")));
    fs::write(&file, format!("{}\n{rules}", lines.join("\n")))?;
    assert_eq!(found(&owned).await?, []);
    Ok(())
}

#[tokio::test]
async fn rules_that_cannot_be_read_are_neither_a_fence_nor_a_gap() -> Result<()> {
    let (owned, file) = on_citus().await?;
    let report = doctor(&owned.url()).await?;
    let unknown: Vec<_> = report.findings.iter().filter(|one| one.check == "citus").collect();
    assert_eq!(unknown.len(), 1, "{report}");
    let finding = "whether node-1.example:5432, node-2.example:5432 rejects other nodes of Citus cannot be checked: \
                   ERROR:  permission denied for view pg_hba_file_rules";
    assert_eq!((unknown[0].level, unknown[0].finding.as_str()), (Level::Hint, finding));

    fs::write(&file, "local all all trust\nhost all all 10.0.0.0/99 reject\n")?;
    let wrong = found(&owned).await?;
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    for (one, node) in wrong.iter().zip(["node-0", "node-1", "node-2"]) {
        assert_eq!(one.level, Level::Warning);
        let begin = format!("line 2 of pg_hba.conf on {node}.example:5432 is wrong: ");
        assert!(one.finding.starts_with(&begin), "{}", one.finding);
    }
    Ok(())
}
