//! `after=<order_id>:<version>`: a list that shows what the client wrote.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use testkit::postgres::{PrivateServer, ServerOptions, Tuning};
use testkit::wait;
use tokio_postgres::{Client, NoTls};

use crate::failover::alternate;
use crate::support::{Api, Replica, SOON, change, insert, numbers, order, problem};

const LISTS: [&str; 3] = ["/customers/alice/orders?", "/customers/alice/orders?status=placed&", "/orders?"];

/// Requests a list after this version of the order.
async fn get(
    replica: &Replica,
    list: &str,
    (number, version): (i32, i32),
    prefer: Option<&str>,
) -> Result<Response> {
    let order = order(number).trim_start_matches("/orders/").to_owned();
    let mut request = reqwest::Client::new().get(format!("{}{list}after={order}:{version}", replica.url));
    if let Some(prefer) = prefer {
        request = request.header("prefer", prefer);
    }
    Ok(request.send().await?)
}

#[tokio::test]
async fn a_list_after_a_version_that_is_there_is_returned_at_once() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "alice", 1), (3, "bob", 2)]).await?;
    change(&api.database.connect().await?, 1, 1).await?;
    for list in LISTS {
        // Order 1 is not on the page: it is older, or has another status.
        for (version, prefer) in [(1, None), (2, None), (2, Some("wait=9"))] {
            let list = format!("{list}limit=1&");
            let response = get(&api, &list, (1, version), prefer).await?;
            assert_eq!(response.status(), StatusCode::OK, "{list} {version}");
            let applied =
                response.headers().get("preference-applied").map(|value| value.to_str()).transpose()?;
            assert_eq!(applied, prefer, "{list}");
            let newest = if list.starts_with("/orders") { 3 } else { 2 };
            assert_eq!(numbers(&response.json().await?), [newest], "{list}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_list_after_a_missing_version_is_503_at_once_or_after_the_preferred_wait() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    for list in LISTS {
        for (order, prefer) in
            [((1, 2), None), ((2, 1), None), ((1, 2), Some("wait=0")), ((1, 2), Some("wait=1"))]
        {
            let start = Instant::now();
            let response = get(&api, list, order, prefer).await?;
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{list} {order:?} {prefer:?}");
            assert_eq!(response.headers()["retry-after"], "1");
            assert_eq!(problem(response).await?["type"], "/problems/projection-behind");
            let has_waited = start.elapsed() >= Duration::from_secs(1);
            assert_eq!(has_waited, prefer == Some("wait=1"), "{list} {order:?} {prefer:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_waiting_list_is_returned_as_soon_as_it_can_show_the_version() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    let session = api.database.connect().await?;
    for (new, list) in (2..).zip(LISTS) {
        let waiting = get(&api, list, (new, 1), Some("wait=10"));
        let write = async {
            // The first attempt has found nothing by now, or will wait for nothing.
            assert_eq!(get(&api, list, (new, 1), Some("wait=0")).await?.status(), 503);
            insert(&session, &[(new, "alice", new)]).await?;
            anyhow::Ok(Instant::now())
        };
        let ((response, received), written) =
            tokio::try_join!(async { Ok((waiting.await?, Instant::now())) }, write)?;
        assert_eq!(response.headers()["preference-applied"], "wait=10");
        let shown = numbers(&response.error_for_status()?.json().await?);
        assert_eq!(shown.first(), Some(&i64::from(new)), "{list}");
        assert!(received.saturating_duration_since(written) < Duration::from_millis(500), "{list}");
    }
    Ok(())
}

#[tokio::test]
async fn in_a_customers_list_an_order_of_another_customer_counts_as_missing() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "bob", 0)]).await?;
    for prefer in [None, Some("wait=1")] {
        let mut problems = Vec::new();
        for number in [1, 2] {
            let start = Instant::now();
            let response = get(&api, LISTS[0], (number, 1), prefer).await?;
            assert_eq!(start.elapsed() >= Duration::from_secs(1), prefer.is_some(), "{number}");
            let (status, mut problem) = (response.status(), problem(response).await?);
            // It names the request.
            problem["instance"].take();
            problems.push((status, problem));
        }
        assert_eq!(problems[0], problems[1], "the order of bob, and one that does not exist");
        assert_eq!(problems[0].0, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(get(&api, "/customers/bob/orders?", (1, 1), None).await?.status(), StatusCode::OK);
    assert_eq!(get(&api, "/orders?", (1, 1), None).await?.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn the_link_to_the_next_page_does_not_repeat_the_check() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "alice", 1)]).await?;
    for list in LISTS {
        let response = get(&api, &format!("{list}limit=1&"), (1, 1), None).await?;
        let link = response.headers()["link"].to_str()?.to_owned();
        assert!(!link.contains("after"), "{link}");
        let next = link.strip_prefix('<').and_then(|link| link.split_once('>')).context("not a link")?.0;
        assert_eq!(numbers(&api.get(next).await?.error_for_status()?.json().await?), [1], "{list}");
        // A client may add it: it is no part of the list that the cursor belongs to.
        let again = get(&api, &format!("{next}&"), (2, 9), None).await?;
        assert_eq!(problem(again).await?["type"], "/problems/projection-behind", "{list}");
    }
    Ok(())
}

async fn connect(server: &PrivateServer) -> Result<Client> {
    let (session, connection) = tokio_postgres::connect(&server.superuser_url("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(session)
}

/// A primary, and a standby that has replayed order 1 of alice and then stopped.
async fn lagging_standby() -> Result<(PrivateServer, PrivateServer)> {
    let primary = PrivateServer::start(&ServerOptions { tuning: Tuning::Throwaway, data_dir: None })?;
    migrate::up(&primary.superuser_url("postgres")).await?;
    let standby = PrivateServer::start_standby_of(&primary)?;
    insert(&connect(&primary).await?, &[(1, "alice", 1)]).await?;
    let at_standby = connect(&standby).await?;
    wait::until("the standby to replay", SOON, || async {
        let count = at_standby.query_one("SELECT count(*) FROM order_summary", &[]).await;
        let count: i64 = count.map_err(|error| error.to_string())?.get(0);
        if count == 1 { Ok(()) } else { Err(count.to_string()) }
    })
    .await?;
    at_standby.batch_execute("SELECT pg_wal_replay_pause()").await?;
    wait::until("the replay to pause", SOON, || async {
        let state = at_standby.query_one("SELECT pg_get_wal_replay_pause_state()", &[]).await;
        let state: String = state.map_err(|error| error.to_string())?.get(0);
        if state == "paused" { Ok(()) } else { Err(state) }
    })
    .await?;
    Ok((primary, standby))
}

#[tokio::test]
async fn a_list_of_a_standby_that_lags_waits_for_its_replay() -> Result<()> {
    let (primary, standby) = lagging_standby().await?;
    let replica = Replica::start(&standby.url("orders_read_api", "postgres"), &[])?;
    insert(&connect(&primary).await?, &[(2, "alice", 2)]).await?;
    for list in LISTS {
        let response = get(&replica, list, (2, 1), Some("wait=0")).await?;
        assert_eq!(problem(response).await?["type"], "/problems/projection-behind", "{list}");
    }
    let waiting = try_join_all(LISTS.map(|list| get(&replica, list, (2, 1), Some("wait=10"))));
    let resume = async {
        assert_eq!(get(&replica, LISTS[0], (1, 1), None).await?.status(), StatusCode::OK);
        connect(&standby).await?.batch_execute("SELECT pg_wal_replay_resume()").await?;
        anyhow::Ok(())
    };
    let (responses, ()) = tokio::try_join!(waiting, resume)?;
    for response in responses {
        assert_eq!(numbers(&response.error_for_status()?.json().await?), [2, 1]);
    }
    Ok(())
}

/// Half of the connections lead to the standby. With check and list on two connections, a check on the primary would
/// let a list of the standby pass.
#[tokio::test]
async fn behind_a_balancer_no_list_is_older_than_its_check() -> Result<()> {
    let (primary, standby) = lagging_standby().await?;
    let sockets = [&primary, &standby].map(|server| server.socket_dir().join(".s.PGSQL.5432"));
    let (port, _balancing) = alternate(sockets).await?;
    let url = format!("postgres://orders_read_api@127.0.0.1:{port}/postgres");
    let replica = Replica::start(&url, &[("DATABASE_POOL_SIZE", "4")])?;
    insert(&connect(&primary).await?, &[(2, "alice", 2)]).await?;
    let (mut shown, mut behind, start) = (0, 0, Instant::now());
    // Until both servers have responded often.
    while shown < 50 || behind < 50 {
        anyhow::ensure!(start.elapsed() < SOON, "{shown} lists, {behind} times behind");
        for list in LISTS {
            for response in try_join_all((0..8).map(|_| get(&replica, list, (2, 1), None))).await? {
                if response.status() == StatusCode::SERVICE_UNAVAILABLE {
                    behind += 1;
                } else {
                    let list: Value = response.error_for_status()?.json().await?;
                    assert_eq!(numbers(&list), [2, 1]);
                    shown += 1;
                }
            }
        }
    }
    Ok(())
}
