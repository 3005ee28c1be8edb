//! The two servers of PostgreSQL change places, and know each other's passwords.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::wait;

use super::shop::Shop;
use super::stack::{Stack, kill};
use super::traffic::{Traffic, until_all_are_visible};
use crate::commands::run;
use crate::images;

/// The primary is lost, then the other one is replaced as planned. Each commit waits for the standby.
pub(super) async fn fail_over_and_back(stack: &Stack, shop: &Shop) -> Result<()> {
    let synchronous =
        ["--both", "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"];
    stack.script("sql", &synchronous, images::OTHER_TAG)?;
    until_synchronous(stack, "postgres").await?;
    restart_primary(stack, shop).await?;
    let refused = fail_over(stack, &["standby"]).map_err(|error| error.to_string());
    ensure!(refused.as_ref().is_err_and(|error| error.contains("use --force")), "{refused:?}");
    let traffic = Traffic::start(shop, "dave");
    traffic.until_more(50).await?;
    let lost = Instant::now();
    kill(&stack.container("postgres")?)?;
    // Its restart policy would start it again.
    run("podman", ["stop", "--time", "0", &stack.container("postgres")?])?;
    fail_over(stack, &["standby"])?;
    traffic.until_more(1).await?;
    println!("orders are taken {:?} after the primary was lost", lost.elapsed());
    // As if it had been interrupted after the promotion.
    run("podman", ["stop", "--time", "10", &stack.container("postgres")?])?;
    fail_over(stack, &["standby"])?;
    until_synchronous(stack, "standby").await?;
    traffic.until_more(50).await?;
    fail_over(stack, &["postgres", "--force"])?;
    until_synchronous(stack, "postgres").await?;
    traffic.until_more(50).await?;
    let acknowledged = traffic.stop();
    until_all_are_visible(shop, &acknowledged).await
}

/// Connections find a server that has restarted: it has the address that it had. Then the standby is made anew.
async fn restart_primary(stack: &Stack, shop: &Shop) -> Result<()> {
    let traffic = Traffic::start(shop, "dave");
    traffic.until_more(50).await?;
    run("podman", ["restart", "--time", "60", &stack.container("postgres")?])?;
    let restarted = Instant::now();
    until_synchronous(stack, "postgres").await?;
    traffic.until_more(50).await?;
    println!("orders are taken {:?} after the primary has restarted", restarted.elapsed());
    ensure!(restarted.elapsed() < Duration::from_secs(20), "the servers do not find each other");
    stack.script("renew-standby", &[], images::OTHER_TAG)?;
    until_synchronous(stack, "postgres").await?;
    traffic.until_more(50).await?;
    until_all_are_visible(shop, &traffic.stop()).await
}

fn fail_over(stack: &Stack, arguments: &[&str]) -> Result<()> {
    stack.script("fail-over", arguments, images::OTHER_TAG)
}

/// Ends the connection of the standby, and waits until it has another: it knows its new password.
pub(super) async fn until_standby_returns(stack: &Stack) -> Result<()> {
    let ended = stack.query("postgres", "SELECT pid FROM pg_stat_replication")?;
    stack.query("postgres", &format!("SELECT pg_terminate_backend({ended})"))?;
    wait::until("the standby to connect again", Duration::from_mins(1), || {
        let sql = format!("SELECT state FROM pg_stat_replication WHERE pid <> {ended}");
        let state = stack.query("postgres", &sql).unwrap_or_default();
        std::future::ready(if state == "streaming" { Ok(()) } else { Err(state) })
    })
    .await?;
    Ok(())
}

/// Waits until each commit of the primary waits for its standby.
async fn until_synchronous(stack: &Stack, primary: &str) -> Result<()> {
    wait::until("the standby to be synchronous", Duration::from_mins(2), || {
        let state = stack.query(primary, "SELECT sync_state FROM pg_stat_replication").unwrap_or_default();
        std::future::ready(if state == "sync" { Ok(()) } else { Err(state) })
    })
    .await?;
    Ok(())
}
