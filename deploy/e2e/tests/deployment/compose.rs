//! The whole system by compose.yaml: nothing that a client was told is lost, whatever is killed, restarted or scaled
//! down.

mod entrance;
mod fail_over;
mod http2;
mod receiver;
mod shop;
mod stack;
mod streams;
mod traffic;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use serde_json::{Value, json};
use testkit::wait;
use uuid::Uuid;

use self::fail_over::{fail_over_and_back, until_standby_returns};
use self::http2::Http2;
use self::receiver::Receiver;
use self::shop::Shop;
use self::stack::{Stack, kill};
use self::streams::Watcher;
use self::traffic::{Traffic, until_all_are_visible};
use crate::commands::run;
use crate::images;

/// The services that have more than one replica, with the port for probes.
const REPLICATED: [(&str, u16); 3] = [("write-api", 9081), ("projector", 9083), ("read-api", 9082)];

// Commands of podman block a thread, while the traffic must go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts containers; .ci/deploy runs it"]
async fn nothing_is_lost_while_replicas_are_restarted_killed_and_scaled_down() -> Result<()> {
    let stack = Stack::start()?;
    shake(&stack).await.with_context(|| stack.warnings())
}

async fn shake(stack: &Stack) -> Result<()> {
    stack.until_ready().await?;
    let shop = Shop::new(stack)?;
    until_open(&shop).await?;
    demonstrate(&shop).await?;
    entrance::check(stack)?;
    let receiver = Receiver::start(stack)?;
    let mut acknowledged = restart_each(stack, &shop).await?;
    acknowledged.extend(kill_each(stack, &shop).await?);
    acknowledged.extend(replace(stack, &shop).await?);
    acknowledged.extend(scale(stack, &shop).await?);
    until_all_are_visible(&shop, &acknowledged).await?;
    receiver.until_received(&acknowledged).await?;
    fail_over_and_back(stack, &shop).await?;
    until_watched(stack).await?;
    stop_each(stack)
}

/// Waits until `HAProxy` knows replicas of all three.
async fn until_open(shop: &Shop) -> Result<()> {
    for path in ["/customers/bob/orders", "/events?limit=1"] {
        wait::until("HAProxy to have replicas", Duration::from_mins(1), || async {
            let answer = shop.get(path).await.map_err(|error| format!("{error:#}"))?;
            answer.expect(StatusCode::OK).map_err(|error| format!("{error:#}"))
        })
        .await?;
    }
    wait::until("HAProxy to have a write-api", Duration::from_mins(1), || async {
        let answer = shop.place(Uuid::new_v4(), "first").await.map_err(|error| format!("{error:#}"))?;
        answer.expect(StatusCode::CREATED).map_err(|error| format!("{error:#}"))
    })
    .await?;
    Ok(())
}

/// One order through its whole life, read back at once.
async fn demonstrate(shop: &Shop) -> Result<()> {
    let order = Uuid::new_v4();
    shop.place(order, "alice").await?.expect(StatusCode::CREATED)?;
    shop.step(order, "pay", &json!({})).await?.expect(StatusCode::OK)?;
    let shipment = json!({"carrier": "Post", "tracking_number": "T1"});
    let shipped = shop.step(order, "ship", &shipment).await?.expect(StatusCode::OK)?;
    let version = &shipped.body["version"];
    let detail = shop.get(&format!("/orders/{order}?min_version={version}")).await?.expect(StatusCode::OK)?;
    ensure!(detail.body["status"] == "shipped", "{}", detail.body);
    let list = shop.get("/customers/alice/orders").await?.expect(StatusCode::OK)?;
    ensure!(list.body["orders"][0]["order_id"] == order.to_string(), "{}", list.body);
    ensure!(list.headers.contains_key("strict-transport-security"), "{:?}", list.headers);
    Ok(())
}

async fn restart_each(stack: &Stack, shop: &Shop) -> Result<Vec<Uuid>> {
    let traffic = Traffic::start(shop, "bob");
    let http2 = Http2::start(stack)?;
    for (service, port) in REPLICATED {
        for container in stack.containers(service)? {
            traffic.until_more(50).await?;
            run("podman", ["restart", "--time", "30", &container])?;
            stack.until_replica_ready(&container, port).await?;
        }
    }
    traffic.until_more(50).await?;
    traffic.nothing_failed().context("while each replica restarted")?;
    let acknowledged = http2.finish().await.context("while each replica restarted")?;
    Ok([acknowledged, traffic.stop()].concat())
}

async fn kill_each(stack: &Stack, shop: &Shop) -> Result<Vec<Uuid>> {
    let traffic = Traffic::start(shop, "bob");
    let http2 = Http2::start(stack)?;
    for (service, port) in REPLICATED {
        let container = stack.container(service)?;
        traffic.until_more(50).await?;
        kill(&container)?;
        traffic.until_more(50).await?;
        // Its restart policy starts it again.
        stack.until_replica_ready(&container, port).await?;
    }
    traffic.until_more(50).await?;
    traffic.no_read_lost().context("while replicas were killed")?;
    let acknowledged = http2.finish().await.context("while replicas were killed")?;
    Ok([acknowledged, traffic.stop()].concat())
}

/// From three replicas of read-api to one, and back.
async fn scale(stack: &Stack, shop: &Shop) -> Result<Vec<Uuid>> {
    let watchers: Vec<_> = (0..9).map(|_| Watcher::start(shop, "carol")).collect();
    let mut orders = Vec::new();
    let traffic = Traffic::start(shop, "bob");
    for count in ["2", "1", "3"] {
        traffic.until_more(50).await?;
        stack.script("scale", &["read-api", count], images::OTHER_TAG)?;
        let order = Uuid::new_v4();
        shop.place(order, "carol").await?.expect(StatusCode::CREATED)?;
        orders.push(order);
        ensure!(stack.containers("read-api")?.len().to_string() == count, "not {count} replicas");
    }
    traffic.until_more(50).await?;
    traffic.nothing_failed().context("while read-api was scaled")?;
    for watcher in &watchers {
        watcher.until_seen(&orders).await?;
    }
    let connections: u32 = watchers.iter().map(Watcher::connections).sum();
    ensure!(connections > 9, "no stream had to resume");
    println!("9 streams made {connections} connections");
    orders.extend(traffic.stop());
    Ok(orders)
}

/// A roll-out of another build, and new passwords, while customers order and read.
async fn replace(stack: &Stack, shop: &Shop) -> Result<Vec<Uuid>> {
    let traffic = Traffic::start(shop, "bob");
    traffic.until_more(50).await?;
    let unknown = stack.script("roll", &[], "unknown").map_err(|error| error.to_string());
    ensure!(unknown.as_ref().is_err_and(|error| error.contains("there is no image")), "{unknown:?}");
    // As if a roll-out had been interrupted after it stopped the first replica.
    let first = stack.container("write-api")?;
    run("podman", ["stop", "--time", "30", &first])?;
    run("podman", ["rm", &first])?;
    stack.script("roll", &[], images::OTHER_TAG)?;
    traffic.until_more(50).await?;
    traffic.nothing_failed().context("while another build was rolled out")?;
    for role in ["migrate", "postgres", "standby"] {
        stack.script("replace-password", &[role], images::OTHER_TAG)?;
    }
    until_standby_returns(stack).await?;
    // With the new password of the migrator. No replica is replaced: all are of this build.
    stack.script("roll", &[], images::OTHER_TAG)?;
    for (service, _) in REPLICATED {
        for container in stack.containers(service)? {
            let label = r#"{{index .Config.Labels "org.opencontainers.image.version"}}"#;
            let version = run("podman", ["inspect", "--format", label, &container])?;
            ensure!(version.trim() == images::OTHER_TAG, "{container} runs {version}");
        }
        stack.script("replace-password", &[service], images::OTHER_TAG)?;
        traffic.until_more(50).await?;
    }
    traffic.no_read_lost().context("while passwords were replaced")?;
    let former = "SELECT count(*) FROM pg_stat_activity WHERE usename IN \
                  ('orders_write_api', 'orders_projector', 'orders_read_api')";
    for server in ["postgres", "standby"] {
        ensure!(stack.query(server, former)? == "0", "a session of the first role is left");
    }
    Ok(traffic.stop())
}

/// Waits until Prometheus has metrics of every replica and of `HAProxy`, and has the rules.
async fn until_watched(stack: &Stack) -> Result<()> {
    let url = format!("http://127.0.0.1:{}/api/v1", stack.prometheus_port);
    wait::until("Prometheus to reach every process", Duration::from_mins(2), || async {
        let get = async |path: &str| -> reqwest::Result<Value> {
            reqwest::get(format!("{url}/{path}")).await?.json().await
        };
        let up = get("query?query=count(up==1)").await.map_err(|error| error.to_string())?;
        let rules = get("rules").await.map_err(|error| error.to_string())?;
        let groups = rules["data"]["groups"].as_array().map_or(0, Vec::len);
        let count = &up["data"]["result"][0]["value"][1];
        if count == "8" && groups > 0 { Ok(()) } else { Err(format!("{count} targets, {groups} groups")) }
    })
    .await?;
    Ok(())
}

/// SIGTERM ends each process in order, with status 0.
fn stop_each(stack: &Stack) -> Result<()> {
    for (service, _) in REPLICATED {
        for container in stack.containers(service)? {
            run("podman", ["stop", "--time", "30", &container])?;
            let status = run("podman", ["inspect", "--format", "{{.State.ExitCode}}", &container])?;
            ensure!(status.trim() == "0", "{container} ended with {status}");
        }
    }
    Ok(())
}
