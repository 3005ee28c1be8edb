//! One caller that sends too much takes nothing of the others, at a real read-api.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Response, StatusCode};
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::tokens::{Role, TokenIssuer};
use testkit::wait;

/// Small, so that ten times as much is little for the machine.
const PER_S: u64 = 20;

/// Time that the machine may take by itself. So the test shows that no request of the other subject is refused or
/// stalls; the `auth` benchmark is for what a request costs.
const NOISE: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Counts {
    served: AtomicU64,
    refused: AtomicU64,
}

pub(crate) struct Scene {
    pub(crate) read: Service,
    issuer: TokenIssuer,
    client: Client,
    _database: TestDatabase,
    _dir: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn start(vars: &[(&str, &str)]) -> Result<Self> {
        let kind = ServiceKind::ReadApi;
        let (database, dir) = (TestDatabase::create().await?, tempfile::tempdir()?);
        let issuer = TokenIssuer::new(dir.path())?;
        let variables = issuer.variables();
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let variables: Vec<_> = variables.chain(vars.iter().copied()).collect();
        let program = ServiceBinaries::built().await?.program(kind);
        let mut read =
            Service::start_with(&variables, kind, &program, &database.url(kind.role()), 0, dir.path())?;
        read.wait_until_ready().await?;
        Ok(Self { read, issuer, client: Client::new(), _database: database, _dir: dir })
    }

    pub(crate) fn token(&self, customer: &str) -> Result<String> {
        Ok(self.issuer.token_of(Role::Customer(customer))?)
    }

    /// A request for the customer's own list or stream.
    pub(crate) async fn get(&self, customer: &str, token: &str, path: &str) -> Result<Response> {
        let url = format!("{}/customers/{customer}/orders{path}", self.read.url());
        Ok(self.client.get(url).bearer_auth(token).send().await?)
    }

    /// Asks for an order that there will never be, and waits for it.
    async fn wait_for_an_order(&self, token: &str) -> Result<StatusCode> {
        let url = format!("{}/orders/{}?min_version=1", self.read.url(), uuid::Uuid::new_v4());
        let request = self.client.get(url).bearer_auth(token).header("prefer", "wait=10");
        Ok(request.send().await?.status())
    }

    async fn metric(&self, name: &str) -> Result<u64> {
        let metrics = reqwest::get(format!("{}/metrics", self.read.admin_url())).await?.text().await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("no {name}"))?.parse()?)
    }

    /// The slowest of this customer's requests, at half of its rate. None of them is refused.
    async fn at_half_of_its_share(&self, customer: &str) -> Result<Duration> {
        let token = self.token(customer)?;
        let mut times = Vec::new();
        let mut tick = tokio::time::interval(Duration::from_millis(2_000 / PER_S));
        for number in 0..3 * PER_S / 2 {
            tick.tick().await;
            let start = Instant::now();
            let response = self.get(customer, &token, "").await?;
            ensure!(response.status() == StatusCode::OK, "request {number}: {}", response.status());
            response.bytes().await?;
            times.push(start.elapsed());
        }
        times.into_iter().max().context("no request")
    }

    /// Sends ten times the share of this customer, over four connections, until it is dropped. Counts what is served
    /// and refused.
    async fn at_ten_times_its_share(&self, customer: &str, counts: &Counts) -> Result<()> {
        let token = self.token(customer)?;
        let part = || self.at_a_fourth_of_it(customer, &token, counts);
        tokio::try_join!(part(), part(), part(), part())?;
        Ok(())
    }

    async fn at_a_fourth_of_it(&self, customer: &str, token: &str, counts: &Counts) -> Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(4 * 100 / PER_S));
        loop {
            tick.tick().await;
            let response = self.get(customer, token, "").await?;
            match response.status() {
                StatusCode::OK => {
                    counts.served.fetch_add(1, Ordering::Relaxed);
                }
                StatusCode::TOO_MANY_REQUESTS => {
                    ensure!(response.headers().get("retry-after").is_some_and(|after| after == "1"));
                    ensure!(response.text().await?.contains("/problems/too-many-requests"));
                    counts.refused.fetch_add(1, Ordering::Relaxed);
                }
                other => bail!("{other}"),
            }
        }
    }
}

fn is_not_stalled(alone: Duration, beside: Duration) -> bool {
    beside <= 2 * alone.max(NOISE)
}

#[tokio::test]
async fn a_subject_at_ten_times_its_share_takes_nothing_from_another_at_half_of_its_own() -> Result<()> {
    let rate = PER_S.to_string();
    let scene = Scene::start(&[("RATE_LIMIT_PER_S", &rate), ("RATE_LIMIT_BURST", &rate)]).await?;
    scene.at_half_of_its_share("bob").await?;
    // Other tests may slow down one measurement, but not three.
    let mut measured: Vec<[Duration; 2]> = Vec::new();
    let mut all_refused = 0;
    while measured.len() < 3
        && !measured.last().is_some_and(|[alone, beside]| is_not_stalled(*alone, *beside))
    {
        let alone = scene.at_half_of_its_share("bob").await?;
        let counts = Counts::default();
        let start = Instant::now();
        let beside = tokio::select! {
            beside = scene.at_half_of_its_share("bob") => beside?,
            failed = scene.at_ten_times_its_share("alice", &counts) => { failed?; bail!("it ended") }
        };
        let [served, refused] = [counts.served.into_inner(), counts.refused.into_inner()];
        let allowed = PER_S + PER_S * (start.elapsed().as_secs() + 1);
        assert!(served <= allowed && refused > 0, "{served} served, {refused} refused");
        all_refused += refused;
        measured.push([alone, beside]);
    }
    assert!(measured.last().is_some_and(|[alone, beside]| is_not_stalled(*alone, *beside)), "{measured:?}");
    assert!(scene.metric(r#"orders_rate_limited_total{reason="subject"}"#).await? >= all_refused);
    Ok(())
}

#[tokio::test]
async fn one_subject_cannot_take_all_streams() -> Result<()> {
    let scene = Scene::start(&[("RATE_LIMIT_STREAMS", "2"), ("LIVE_POLL_MS", "10")]).await?;
    let (alice, bob) = (scene.token("alice")?, scene.token("bob")?);
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(scene.get("alice", &alice, "/stream").await?.error_for_status()?);
    }
    let third = scene.get("alice", &alice, "/stream").await?;
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(third.headers().contains_key("retry-after"));
    assert_eq!(scene.get("bob", &bob, "/stream").await?.status(), StatusCode::OK);
    assert!(scene.metric(r#"orders_rate_limited_total{reason="streams"}"#).await? >= 1);
    streams.pop();
    wait::until("the share of a stream that ended", Duration::from_secs(30), || async {
        let status = scene.get("alice", &alice, "/stream").await.map(|response| response.status());
        if matches!(status, Ok(StatusCode::OK)) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn one_subject_cannot_take_all_waits() -> Result<()> {
    let scene = Scene::start(&[("RATE_LIMIT_WAITS", "2")]).await?;
    let (alice, bob) = (scene.token("alice")?, scene.token("bob")?);
    let begun = Instant::now();
    let of_alice = || scene.wait_for_an_order(&alice);
    // Of three at once, one is refused at once: the others wait for 10 seconds.
    let refused = tokio::select! {
        status = of_alice() => status?,
        status = of_alice() => status?,
        status = of_alice() => status?,
    };
    assert_eq!((refused, begun.elapsed() < Duration::from_secs(8)), (StatusCode::TOO_MANY_REQUESTS, true));
    let of_bob = tokio::time::timeout(Duration::from_millis(500), scene.wait_for_an_order(&bob)).await;
    assert!(of_bob.is_err(), "it waits: {of_bob:?}");
    assert!(scene.metric(r#"orders_rate_limited_total{reason="waits"}"#).await? >= 1);
    wait::until("the share of a wait that ended", Duration::from_secs(30), || async {
        let status = tokio::time::timeout(Duration::from_millis(500), of_alice()).await;
        // It waits.
        if status.is_err() { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await?;
    Ok(())
}
