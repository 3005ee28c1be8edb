//! Projectors of older builds run beside this one. They write the state and know no facts: what they write leaves the
//! facts as they are, and what they left out is filled in later.

use anyhow::{Context, Result, ensure};
use diesel_async::AsyncPgConnection;
use projector::projection::{OrderSummary, Projection};
use shared_events::OrderEvent;
use tokio_postgres::Client;

use crate::convergence::permutations;
use crate::stories::{Story, Summary, Writer};
use crate::support::Scene;

/// The upserts of older builds, as they are in `tests/frozen/`.
const FROZEN: [(&str, &str); 2] = [
    ("without facts", include_str!("../frozen/order_summary_without_facts.sql")),
    ("without history", include_str!("../frozen/order_summary_without_history.sql")),
];

/// Applies the newest event of each order, as older builds do. Here each order has one event.
async fn apply_as_older(session: &Client, upsert: &str, events: &[OrderEvent]) -> Result<()> {
    let states: Vec<_> = events.iter().map(|event| &event.order).collect();
    let ids: Vec<_> = states.iter().map(|state| state.order_id.to_string()).collect();
    let customers: Vec<_> = states.iter().map(|state| state.customer_id.as_str()).collect();
    let totals: Vec<_> = states.iter().map(|state| state.total_cents).collect();
    let statuses: Vec<_> = states.iter().map(|state| state.status.as_str()).collect();
    let placed: Vec<_> = states.iter().map(|state| state.placed_at.to_rfc3339()).collect();
    let counts: Vec<_> = states.iter().map(|state| state.item_count).collect();
    let skus: Vec<_> = states.iter().map(|state| state.last_item_sku.as_str()).collect();
    let versions: Vec<_> = states.iter().map(|state| state.version).collect();
    // The driver of the tests knows neither uuid nor chrono, and no types of parameters of unnest.
    let types = ["uuid", "text", "bigint", "text", "timestamptz", "int", "text", "int"];
    let casts = types.iter().zip(1..).map(|(element, number)| match *element {
        "uuid" | "timestamptz" => format!("${number}::text[]::{element}[]"),
        _ => format!("${number}::{element}[]"),
    });
    let upsert = upsert.replace("$1, $2, $3, $4, $5, $6, $7, $8", &casts.collect::<Vec<_>>().join(", "));
    session
        .execute(&upsert, &[&ids, &customers, &totals, &statuses, &placed, &counts, &skus, &versions])
        .await?;
    Ok(())
}

async fn apply(connection: &mut AsyncPgConnection, events: &[OrderEvent]) -> Result<()> {
    Ok(OrderSummary.apply(connection, &events.iter().collect::<Vec<_>>()).await?)
}

/// Each event goes to one of two projectors: bit n of `older` says whether version n + 1 goes to the older one.
fn goes_to_older(older: u8, version: i32) -> bool {
    older >> (version - 1) & 1 == 1
}

/// One order for each permutation of its four events and each way to share them between both projectors.
async fn check(upsert: &str) -> Result<()> {
    let scene = Scene::create().await?;
    let older_session = scene.database.connect_as("orders_projector").await?;
    let mut connection = scene.open()?.session().await?;
    let orders: Vec<_> = (0..16_u8)
        .flat_map(|older| permutations().into_iter().map(move |permutation| (older, permutation)))
        .zip(1..)
        .map(|((older, permutation), order)| (Story::new(order), older, permutation))
        .collect();
    let event = |story: &Story, version| story.decoded(version, false, Writer::WithoutItems);
    for step in 0..4 {
        let (mut of_older, mut of_newer) = (Vec::new(), Vec::new());
        for (story, older, permutation) in &orders {
            let version = *permutation.get(step).context("no step")?;
            let events = if goes_to_older(*older, version) { &mut of_older } else { &mut of_newer };
            events.push(event(story, version)?);
        }
        apply_as_older(&older_session, upsert, &of_older).await?;
        apply(&mut connection, &of_newer).await?;
        for (found, (story, older, permutation)) in Summary::all(&scene).await?.iter().zip(&orders) {
            let seen = permutation.get(..=step).context("no step")?;
            let newest = seen.iter().max().context("no version")?;
            let of_newer = seen.iter().filter(|version| !goes_to_older(*older, **version));
            let of_newer = of_newer.map(|version| event(story, *version)).collect::<Result<Vec<_>>>()?;
            let facts = Summary::of(&of_newer).map(|summary| summary.facts).unwrap_or_default();
            ensure!(found.state == story.event(*newest, false).order, "{found:#?} after {seen:?}");
            ensure!(found.facts == facts, "{found:#?} after {seen:?}");
        }
    }
    // The repair.
    let republished = orders.iter().map(|(story, ..)| story.decoded(4, true, Writer::Whole));
    apply(&mut connection, &republished.collect::<Result<Vec<_>>>()?).await?;
    for (found, (story, ..)) in Summary::all(&scene).await?.iter().zip(&orders) {
        assert_eq!(Some(found), Summary::of(&[story.event(4, true)]).as_ref());
    }
    Ok(())
}

#[tokio::test]
async fn facts_survive_an_older_projector_and_are_filled_in_by_later_events() -> Result<()> {
    for (name, upsert) in FROZEN {
        check(upsert).await.context(name)?;
    }
    Ok(())
}
