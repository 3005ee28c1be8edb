//! `POST /orders/{order_id}/pay`, `/ship`, `/deliver` and `/cancel`.

use actix_web::http::header::ETAG;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_kit::auth::Grant;
use service_kit::problem::{FieldError, Problem};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{Diagnose, Faults, ObjectReader, OptionalJsonBody};
use super::if_match::{IfMatchHeader, etag};
use super::problems::{self, StepFailure, StepProblems};
use super::{CANCEL, DELIVER, PAY, REPLAYED, SHIP};
use crate::command::ChangeStatus;
use crate::domain::{CancelReason, Carrier, CustomerId, Order, Shipment, Step, TrackingNumber};
use crate::port::OrderWriter;

/// This step has no details: send no body, or an empty object.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoDetails {}

/// Optional details of the shipment.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ShipRequest {
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[^\\u0000-\\u0020\\u007F-\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000]\
            ([^\\u0000-\\u001F\\u007F-\\u009F]*\
            [^\\u0000-\\u0020\\u007F-\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000])?$",
        example = "DHL"
    )]
    carrier: Option<String>,
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = "^[^\\u0000-\\u0020\\u007F-\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000]\
            ([^\\u0000-\\u001F\\u007F-\\u009F]*\
            [^\\u0000-\\u0020\\u007F-\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000])?$",
        example = "JD0146000"
    )]
    tracking_number: Option<String>,
}

/// An optional reason for the cancellation.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CancelRequest {
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = "^[^\\u0000-\\u001F\\u007F-\\u009F]*\
            [^\\u0000-\\u0020\\u007F-\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000]\
            [^\\u0000-\\u001F\\u007F-\\u009F]*$",
        example = "wrong size"
    )]
    reason: Option<String>,
}

/// An order after a step.
#[derive(Serialize, ToSchema)]
pub(super) struct ChangedResponse {
    order_id: Uuid,
    /// The order's current status.
    #[schema(pattern = "^(placed|paid|shipped|delivered|cancelled)$")]
    status: &'static str,
    #[schema(minimum = 1)]
    version: i32,
    /// Σ price × quantity, in the currency's minor unit.
    #[schema(minimum = 0)]
    total_cents: i64,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// The handler of one step and its part of the OpenAPI document. Steps differ only in their bodies.
macro_rules! step {
    ($(#[$doc:meta])* $name:ident, $path:ident, $operation:literal, $body:ty, $into_step:expr) => {
        $(#[$doc])*
        ///
        /// Repeating a step that the order has already taken changes nothing and returns the order's current state.
        #[utoipa::path(
            post, path = $path, tag = "orders", operation_id = $operation,
            request_body = Option<$body>,
            params(
                ("order_id" = Uuid, Path, description = "The order's id."),
                ("If-Match" = Option<String>, Header, nullable = false, example = "\"1\"",
                    description = "The `ETag` of the version that the step is based on, a list of such tags, or `*`. \
                        If no tag matches the order's version, the response is 412. Weak tags never match."),
            ),
            responses(
                (status = 200, description = "The order has taken the step.", body = ChangedResponse, headers(
                    ("ETag" = String, description = "The order's version, quoted."),
                    ("Idempotent-Replayed" = String, description = "`true` if the order had already taken the step."),
                )),
                StepProblems,
            ),
        )]
        pub(super) async fn $name<W: OrderWriter>(
            request: HttpRequest,
            order_id: web::Path<String>,
            grant: Grant,
            OptionalJsonBody(body): OptionalJsonBody<$body>,
            writer: web::Data<W>,
        ) -> Result<HttpResponse, Problem> {
            change(&request, &order_id, &grant, ($into_step)(body), writer.get_ref()).await
        }
    };
}

step!(
    /// Pay an order
    pay, PAY, "pay_order", NoDetails, |_| Ok(Step::Pay)
);
step!(
    /// Ship an order
    ship, SHIP, "ship_order", ShipRequest, ShipRequest::into_step
);
step!(
    /// Deliver an order
    deliver, DELIVER, "deliver_order", NoDetails, |_| Ok(Step::Deliver)
);
step!(
    /// Cancel an order
    cancel, CANCEL, "cancel_order", CancelRequest, CancelRequest::into_step
);

async fn change(
    request: &HttpRequest,
    order_id: &str,
    grant: &Grant,
    step: Result<Step, Vec<FieldError>>,
    writer: &impl OrderWriter,
) -> Result<HttpResponse, Problem> {
    let order_id = Uuid::try_parse(order_id)
        .map_err(|_| Problem::invalid_parameter(FieldError::parameter("order_id", "must be a UUID")))?;
    let if_match = IfMatchHeader::from_request(request);
    let step = step.map_err(|faults| problems::INVALID_BODY.with(problems::INVALID_BODY.when).at(faults))?;
    // No order can belong to a customer whose id breaks the rules for ids.
    let owner = grant.customer().map(|claim| CustomerId::from_stored(claim.to_owned())).transpose();
    let owner = owner.map_err(|_| problems::NO_SUCH_ORDER.with(problems::NO_SUCH_ORDER.when))?;
    let command = ChangeStatus { order_id, owner, step, precondition: if_match.precondition() };
    let changed =
        command.run(writer, Utc::now()).await.map_err(|error| StepFailure { error, if_match: &if_match })?;
    Ok(response(&changed.order, changed.replayed))
}

fn response(order: &Order, replayed: bool) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((ETAG, etag(order.version()).to_string()));
    if replayed {
        response.insert_header(REPLAYED);
    }
    response.json(ChangedResponse {
        order_id: order.id(),
        status: order.status().as_str(),
        version: order.version(),
        total_cents: order.lines().total().get(),
        placed_at: order.placed_at(),
        updated_at: order.updated_at(),
    })
}

impl ShipRequest {
    fn into_step(self) -> Result<Step, Vec<FieldError>> {
        let mut faults = Faults::default();
        let carrier = faults.check_optional("/carrier", self.carrier, Carrier::new);
        let tracking_number =
            faults.check_optional("/tracking_number", self.tracking_number, TrackingNumber::new);
        faults.into_result(Some(Step::Ship(Shipment { carrier, tracking_number })))
    }
}

impl CancelRequest {
    fn into_step(self) -> Result<Step, Vec<FieldError>> {
        let mut faults = Faults::default();
        let reason = faults.check_optional("/reason", self.reason, CancelReason::new);
        faults.into_result(Some(Step::Cancel(reason)))
    }
}

impl Diagnose for NoDetails {
    fn diagnose(body: &Value, faults: &mut Faults) {
        ObjectReader::new(String::new(), body, &[], faults);
    }
}

impl Diagnose for ShipRequest {
    fn diagnose(body: &Value, faults: &mut Faults) {
        let known = ["carrier", "tracking_number"];
        let Some(shipment) = ObjectReader::new(String::new(), body, &known, faults) else { return };
        shipment.optional("carrier", faults, |carrier: Option<String>| carrier.map(Carrier::new).transpose());
        shipment.optional("tracking_number", faults, |number: Option<String>| {
            number.map(TrackingNumber::new).transpose()
        });
    }
}

impl Diagnose for CancelRequest {
    fn diagnose(body: &Value, faults: &mut Faults) {
        let Some(body) = ObjectReader::new(String::new(), body, &["reason"], faults) else { return };
        body.optional("reason", faults, |reason: Option<String>| reason.map(CancelReason::new).transpose());
    }
}
