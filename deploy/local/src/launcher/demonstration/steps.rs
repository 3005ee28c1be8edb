//! Takes the orders of the demonstration through their steps.

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::detail::Detail;
use super::{CUSTOMER, Callers, print_line};
use testkit::tokens::Role;

/// The steps of each order.
pub(super) const STEPS: [&[Step]; 3] = [
    &[Step { name: "pay", by: Role::Payment, details: Details::NONE }],
    &[
        Step { name: "pay", by: Role::Payment, details: Details::NONE },
        Step {
            name: "ship",
            by: Role::Warehouse,
            details: Details { carrier: Some("DHL"), tracking_number: Some("JD0146000"), reason: None },
        },
    ],
    &[Step {
        name: "cancel",
        by: Role::Customer(CUSTOMER),
        details: Details { reason: Some("Ordered twice"), ..Details::NONE },
    }],
];

/// A step of an order, named as in its path.
pub(super) struct Step {
    name: &'static str,
    by: Role<'static>,
    details: Details,
}

/// What a step may tell.
#[derive(Serialize)]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_number: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl Details {
    const NONE: Self = Self { carrier: None, tracking_number: None, reason: None };
}

#[derive(Deserialize)]
struct Taken {
    status: String,
    version: i32,
    updated_at: String,
}

/// Takes the steps, and returns what read-api shows of the order then: all of its data.
pub(super) async fn take(
    callers: &Callers,
    (write_url, read_url): (&str, &str),
    mut expected: Detail,
    steps: &[Step],
) -> Result<Detail> {
    for Step { name, by, details } in steps {
        let url = format!("{write_url}/orders/{}/{name}", expected.order_id);
        let request = callers.client(*by)?.post(url).json(details);
        let response = request.send().await.context("write-api did not respond")?;
        let status = response.status();
        ensure!(status == StatusCode::OK, "write-api returned {status}: {}", response.text().await?);
        let Taken { status, version, updated_at } = response.json().await?;
        print_line(&format!("{:<36}  {status}, version {version}", expected.order_id))?;
        expected.carrier = details.carrier.map(str::to_owned).or(expected.carrier);
        expected.tracking_number = details.tracking_number.map(str::to_owned).or(expected.tracking_number);
        expected.cancel_reason = details.reason.map(str::to_owned).or(expected.cancel_reason);
        let time = match *name {
            "pay" => &mut expected.paid_at,
            "ship" => &mut expected.shipped_at,
            _ => &mut expected.cancelled_at,
        };
        *time = Some(updated_at.clone());
        (expected.status, expected.version, expected.updated_at) = (status, version, Some(updated_at));
    }
    // The read waits until the model has the version.
    let url = format!("{read_url}/orders/{}?min_version={}", expected.order_id, expected.version);
    let customer = callers.client(Role::Customer(CUSTOMER))?;
    let response = customer.get(url).header("prefer", "wait=10").send().await?.error_for_status()?;
    let shown: Detail = response.json().await?;
    ensure!(shown == expected, "read-api shows {shown:?} instead of {expected:?}");
    Ok(shown)
}
