//! A changed read model is filled beside the old one, compared, switched to and back again, while orders and reads go
//! on, as `docs/read-models.md` describes it.

mod by_week;
mod load;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use projector::projection::Projection;
use projector::subscription::{Handled, Progress, ReadModelSteps};
use revenue::projection::RevenueByMonth;
use testkit::wait;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use self::by_week::RevenueByWeek;
use crate::orders::{Order, sums};
use crate::support::{Api, SOON, Scene};

const UP: &str = include_str!("beside/up.sql");
const DOCUMENT: &str = include_str!("../../../../../docs/read-models.md");

/// Rows of the second model only: they show which one a reader sees.
const MARKER_CURRENCY: &str = "ZZZ";
const MARKER_SKU: &str = "~marker";

/// Orders from before the oldest event in the log.
const OLD: u128 = 50;

/// Most orders that the two models may have in different versions while both follow.
const ON_THE_WAY: i64 = 50;

/// A statement of the document.
fn documented(first: &str) -> Result<String> {
    let mut blocks = DOCUMENT.split("```sql\n").skip(1).filter_map(|block| block.split("```").next());
    let found = blocks.find(|block| block.trim_start().starts_with(first));
    Ok(found.with_context(|| format!("no block that begins with {first:?}"))?.to_owned())
}

/// Follows the log until the stop signal.
async fn follow(steps: ReadModelSteps, stop: &CancellationToken) -> Result<()> {
    while !stop.is_cancelled() {
        if let Progress::NotClaimed | Progress::Handled(Handled { events: 0, .. }) =
            steps.run_once(100).await?
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(())
}

/// Orders that only the first model has seen: their events are no longer in the log.
async fn old_orders(scene: &Scene) -> Result<Vec<Order>> {
    let mut random = fastrand::Rng::new();
    let orders: Vec<_> = (1..=OLD).map(|id| Order::random(&mut random, id)).collect();
    scene.emit(&orders.iter().flat_map(Order::events).collect::<Vec<_>>()).await?;
    scene.log_all().await?;
    scene.subscribe(RevenueByMonth.name()).await?;
    scene.steps(RevenueByMonth)?.run_once(10_000).await?;
    assert_eq!(scene.sums("revenue_1").await?, sums(&orders));
    scene.expire_log().await?;
    Ok(orders)
}

/// Waits until both models have the same orders in about the same versions. They never differ in the same version.
async fn compare(scene: &Scene) -> Result<()> {
    let compare = documented("SELECT\n")?;
    let compared = wait::until("the new model to have caught up", SOON, || async {
        let row = match scene.session.query_one(&compare, &[]).await {
            Ok(row) => row,
            Err(error) => return Ok(Err(error.into())),
        };
        match (row.get::<_, i64>(0), row.get::<_, i64>(1)) {
            (0, on_the_way) if on_the_way <= ON_THE_WAY => Ok(Ok(())),
            (0, on_the_way) => Err(on_the_way),
            (different, _) => Ok(Err(anyhow::anyhow!("{different} orders differ"))),
        }
    });
    compared.await?
}

/// Runs the documented statement, again if readers held it up. Returns how long that took.
async fn show(session: &Client, model: &str) -> Result<Duration> {
    let show = documented("SELECT revenue.show")?.replace("revenue_2", model);
    let start = Instant::now();
    wait::until("the switch", SOON, || session.batch_execute(&show)).await?;
    Ok(start.elapsed())
}

/// Whether readers see the second model now.
async fn is_second(api: &Api) -> Result<bool> {
    let months = api.get("/revenue?limit=1000").await?.text().await?;
    let skus = api.get("/orders-by-sku?limit=1000").await?.text().await?;
    let seen = (months.contains(MARKER_CURRENCY), skus.contains(MARKER_SKU));
    ensure!(seen.0 == seen.1, "{months}\n{skus}");
    Ok(seen.0)
}

/// Waits until a table has this many more orders than the old ones.
async fn until_new_orders(scene: &Scene, model: &str, count: i64) -> Result<()> {
    let orders = format!("SELECT count(*) - {OLD} FROM {model}.orders");
    wait::until("new orders", SOON, || async {
        match scene.number(&orders).await {
            Ok(found) if found >= count => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Ok(())
}

/// Waits until readers have got this many more responses.
async fn until_read(responses: &AtomicUsize, count: usize) -> Result<()> {
    let before = responses.load(Ordering::Relaxed);
    wait::until("readers", SOON, || {
        let read = responses.load(Ordering::Relaxed) - before;
        std::future::ready(if read >= count { Ok(()) } else { Err(read) })
    })
    .await?;
    Ok(())
}

async fn change(scene: &Scene, api: &Api, old: &[Order], responses: &AtomicUsize) -> Result<()> {
    until_new_orders(scene, "revenue_1", 50).await?;
    scene.session.batch_execute(UP).await?;
    scene.subscribe(RevenueByWeek.name()).await?;
    let stop = CancellationToken::new();
    let republish = async {
        scene.emit(&old.iter().map(|order| order.republished(order.versions())).collect::<Vec<_>>()).await?;
        compare(scene).await?;
        until_new_orders(scene, "revenue_2", 100).await?;
        compare(scene).await?;
        let markers = format!(
            "INSERT INTO revenue_2.by_month VALUES ('2026-01', '{MARKER_CURRENCY}', 1, 0);
             INSERT INTO revenue_2.by_sku VALUES ('{MARKER_SKU}', 1, 0)"
        );
        scene.session.batch_execute(&markers).await?;
        assert!(!is_second(api).await?, "nothing has changed for readers");
        for (model, second) in [("revenue_2", true), ("revenue_1", false), ("revenue_2", true)] {
            let took = show(&scene.session, model).await?;
            ensure!(took < Duration::from_secs(1), "the switch to {model} took {took:?}");
            assert_eq!(is_second(api).await?, second, "{model}");
            until_read(responses, 20).await?;
        }
        stop.cancel();
        anyhow::Ok(())
    };
    let steps = scene.steps(RevenueByWeek)?;
    let ((), ()) = tokio::try_join!(republish, follow(steps, &stop))?;
    Ok(())
}

#[tokio::test]
async fn a_changed_read_model_is_built_beside_the_old_one_and_switched_to_under_load() -> Result<()> {
    let scene = Scene::create().await?;
    let old = old_orders(&scene).await?;
    let api = Api::start(&scene.database)?;
    let (writer, reader) =
        (scene.database.connect().await?, scene.database.connect_as("orders_revenue").await?);
    let claim = scene.claim()?;
    let (end, responses) = (CancellationToken::new(), AtomicUsize::new(0));
    let changed = async {
        let changed = change(&scene, &api, &old, &responses).await;
        end.cancel();
        changed
    };
    let steps = scene.steps(RevenueByMonth)?;
    let (new, (), (), (), (), ()) = tokio::try_join!(
        load::orders(&writer, &claim, &end),
        follow(steps, &end),
        load::readers(&api, &end, &responses),
        load::readers(&api, &end, &responses),
        load::mixture(&reader, &end),
        changed,
    )?;
    // Without load, both catch up and end with the sums of the orders.
    for steps in [scene.steps(RevenueByMonth)?, scene.steps(RevenueByWeek)?] {
        while !matches!(
            steps.run_once(1_000).await?,
            Progress::Handled(Handled { events: 0, hole: None, .. })
        ) {}
    }
    let markers = format!(
        "DELETE FROM revenue_2.by_month WHERE currency = '{MARKER_CURRENCY}';
         DELETE FROM revenue_2.by_sku WHERE sku = '{MARKER_SKU}'"
    );
    scene.session.batch_execute(&markers).await?;
    let expected = sums(old.iter().chain(&new));
    assert_eq!(scene.sums("revenue_1").await?, expected);
    assert_eq!(scene.sums("revenue_2").await?, expected);
    let weeks = "SELECT count(*) FROM
        (SELECT currency, sum(revenue_cents) FROM revenue_2.by_week GROUP BY currency
         EXCEPT SELECT currency, sum(revenue_cents) FROM revenue_2.by_month GROUP BY currency) AS different";
    assert_eq!(scene.number(weeks).await?, 0, "the weeks add up to the same revenue");
    Ok(())
}
