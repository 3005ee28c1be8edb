//! The same on a cluster of Citus, if the server offers the extension: each finding ends with its remedy.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use migrate::{Cell, Finding, Level};
use testkit::citus::{CitusCluster, Node};
use testkit::owned_database::connect;
use testkit::wait;

const CELL: &str = "cell_01";

async fn found(cluster: &CitusCluster, node: Node) -> Result<Vec<Finding>> {
    let report = Cell::new(CELL)?.doctor(&cluster.superuser_url(node)).await?;
    Ok(report.findings.into_iter().filter(|one| ["citus", "grants"].contains(&one.check)).collect())
}

fn address(cluster: &CitusCluster, node: Node) -> Result<String> {
    Ok(format!("127.0.0.1:{}", cluster.node(node).tcp_port().context("a node without a port")?))
}

/// Nothing is wrong: the coordinator names the owner, which finds nothing, and the other worker is the wrong node.
async fn check_owner(cluster: &CitusCluster, owner: Node, other: Node) -> Result<()> {
    let name = format!("name {}", address(cluster, owner)?);
    assert_eq!(found(cluster, owner).await?, []);
    for (node, level) in [(Node::Coordinator, Level::Hint), (other, Level::Error)] {
        let found = found(cluster, node).await?;
        let is_it = |one: &Finding| one.level == level && one.remedy.contains(&name);
        assert!(found.len() == 1 && found.iter().all(is_it), "{found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_node_and_grants_that_did_not_reach_all() -> Result<()> {
    let Some(cluster) = CitusCluster::start().await? else { return Ok(()) };
    cluster.add_cell(CELL, Node::Worker1).await?;
    check_owner(&cluster, Node::Worker1, Node::Worker2).await?;
    cluster.move_cell(CELL, Node::Worker2).await?;
    check_owner(&cluster, Node::Worker2, Node::Worker1).await?;

    for revoked in [
        "SELECT ON SEQUENCE cell_01.outbox_id_seq FROM orders_projection",
        "EXECUTE ON FUNCTION cell_01.oldest_event_seconds FROM orders_scaling",
    ] {
        for (node, level) in [(Node::Worker1, Level::Warning), (Node::Worker2, Level::Error)] {
            // Only there: it is not passed on.
            let session = cluster.connect(node).await?;
            let revoke = format!("SET citus.enable_ddl_propagation = off; REVOKE {revoked}");
            session.batch_execute(&revoke).await?;
            let found = found(&cluster, Node::Coordinator).await?;
            assert_eq!(found.len(), 2, "{found:?}");
            let missing =
                found.iter().find(|one| one.finding.starts_with("missing on ")).context("no finding")?;
            assert!(
                missing.level == level && missing.finding.contains(&address(&cluster, node)?),
                "{found:?}"
            );
            cluster.connect(Node::Coordinator).await?.batch_execute(&missing.remedy).await?;
            check_owner(&cluster, Node::Worker2, Node::Worker1).await?;
        }
    }
    Ok(())
}

/// Whether a process that is connected to this node, which does not own the schema, gets an answer.
async fn answers(cluster: &CitusCluster, node: Node) -> Result<bool> {
    let session = connect(&cluster.url(node, "orders_read_api", CELL)).await?;
    match session.query("SELECT count(*) FROM order_summary", &[]).await {
        Ok(_) => Ok(true),
        Err(error) if format!("{error:?}").contains("pg_hba.conf rejects connection") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Replaces `pg_hba.conf` of a node, and waits until no session uses the old one.
async fn set_rules(cluster: &CitusCluster, node: Node, edit: impl Fn(&str) -> String) -> Result<()> {
    let session = cluster.connect(node).await?;
    let file: String = session.query_one("SHOW hba_file", &[]).await?.get(0);
    fs::write(&file, edit(&fs::read_to_string(&file)?))?;
    let loaded = "SELECT pg_reload_conf(), pg_conf_load_time()";
    let before: std::time::SystemTime = session.query_one(loaded, &[]).await?.get(1);
    wait::until("the rules to be loaded", Duration::from_secs(30), async || {
        let row = connect(&cluster.superuser_url(node)).await.map_err(|error| error.to_string())?;
        let row =
            row.query_one("SELECT pg_conf_load_time()", &[]).await.map_err(|error| error.to_string())?;
        if row.get::<_, std::time::SystemTime>(0) > before { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_fence_and_a_node_that_does_not_run() -> Result<()> {
    let Some(mut cluster) = CitusCluster::start().await? else { return Ok(()) };
    cluster.add_cell(CELL, Node::Worker1).await?;
    assert!(!answers(&cluster, Node::Worker2).await?, "the fence of the tests");
    let without =
        |rules: &str| rules.lines().filter(|line| !line.ends_with(" reject")).collect::<Vec<_>>().join("\n");
    set_rules(&cluster, Node::Worker1, without).await?;
    assert!(answers(&cluster, Node::Worker2).await?);
    let missing = found(&cluster, Node::Worker1).await?;
    assert_eq!(missing.len(), 1, "{missing:?}");
    let owner = address(&cluster, Node::Worker1)?;
    assert!(missing[0].level == Level::Warning && missing[0].finding.starts_with(&owner), "{missing:?}");
    let lines: Vec<_> = missing[0].remedy.lines().filter(|line| line.starts_with("host ")).collect();
    set_rules(&cluster, Node::Worker1, |rules| format!("{}\n{rules}", lines.join("\n"))).await?;
    check_owner(&cluster, Node::Worker1, Node::Worker2).await?;
    assert!(!answers(&cluster, Node::Worker2).await?);

    cluster.node_mut(Node::Worker2).kill();
    let hints = found(&cluster, Node::Worker1).await?;
    let gone = address(&cluster, Node::Worker2)?;
    assert!(hints.iter().all(|one| one.level == Level::Hint), "{hints:?}");
    assert!(hints.iter().any(|one| one.finding.contains(&gone)), "{hints:?}");
    cluster.node_mut(Node::Worker2).start_again()?;
    check_owner(&cluster, Node::Worker1, Node::Worker2).await
}
