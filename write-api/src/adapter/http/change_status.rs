//! `POST /orders/{order_id}/pay`, `/ship`, `/deliver` and `/cancel`.

use actix_web::http::header::ETAG;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_kit::problem::{FieldError, Problem};
use utoipa::ToSchema;
use uuid::Uuid;

use super::explain::{self, Explain};
use super::if_match::{IfMatchHeader, etag};
use super::json_body::OptionalJsonBody;
use super::problems::{self, StepProblems};
use super::validation::Faults;
use super::{CANCEL, DELIVER, PAY, REPLAYED, SHIP};
use crate::command::ChangeStatus;
use crate::domain::{CancelReason, Carrier, Order, Shipment, Step, TrackingNumber};
use crate::port::OrderWriter;

/// Nothing can be said with this step: no body, or an empty object.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoDetails {}

/// What is known of the shipment.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ShipRequest {
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = r"^[^\u0000-\u0020\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]([^\u0000-\u001F\u007F-\u009F]*[^\u0000-\u0020\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000])?$",
        example = "DHL"
    )]
    carrier: Option<String>,
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\u0000-\u0020\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]([^\u0000-\u001F\u007F-\u009F]*[^\u0000-\u0020\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000])?$",
        example = "JD0146000"
    )]
    tracking_number: Option<String>,
}

/// Why the order is called off.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CancelRequest {
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\u0000-\u0020\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000][^\u0000-\u001F\u007F-\u009F]*$",
        example = "wrong size"
    )]
    reason: Option<String>,
}

/// An order after a step.
#[derive(Serialize, ToSchema)]
pub(super) struct ChangedResponse {
    order_id: Uuid,
    /// Where the order stands now.
    #[schema(pattern = "^(placed|paid|shipped|delivered|cancelled)$")]
    status: &'static str,
    #[schema(minimum = 1)]
    version: i32,
    /// Σ price × quantity, in cents.
    #[schema(minimum = 0)]
    total_cents: i64,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// The handler and the document of one step; they differ only in what the body may say.
macro_rules! step {
    ($(#[$doc:meta])* $name:ident, $path:ident, $operation:literal, $body:ty, $into_step:expr) => {
        $(#[$doc])*
        ///
        /// A repeat of a step that was already taken changes nothing and answers the order as it is now.
        #[utoipa::path(
            post, path = $path, tag = "orders", operation_id = $operation,
            request_body = Option<$body>,
            params(
                ("order_id" = Uuid, Path, description = "Which order."),
                ("If-Match" = Option<String>, Header, nullable = false, example = "\"1\"",
                    description = "The `ETag` of the version that this is based on: then any other version is a 412, and so is what names none, such as a weak tag. Also a list of them, or `*`."),
            ),
            responses(
                (status = 200, description = "The order has taken the step.", body = ChangedResponse, headers(
                    ("ETag" = String, description = "The order's version, quoted."),
                    ("Idempotent-Replayed" = String, description = "`true` where it had taken the step before."),
                )),
                StepProblems,
            ),
        )]
        pub(super) async fn $name<W: OrderWriter>(
            request: HttpRequest,
            order_id: web::Path<String>,
            OptionalJsonBody(body): OptionalJsonBody<$body>,
            writer: web::Data<W>,
        ) -> Result<HttpResponse, Problem> {
            change(&request, &order_id, ($into_step)(body), writer.get_ref()).await
        }
    };
}

step!(
    /// The order is paid
    pay, PAY, "pay_order", NoDetails, |_| Ok(Step::Pay)
);
step!(
    /// The order leaves the warehouse
    ship, SHIP, "ship_order", ShipRequest, ShipRequest::into_step
);
step!(
    /// The order reaches the customer
    deliver, DELIVER, "deliver_order", NoDetails, |_| Ok(Step::Deliver)
);
step!(
    /// The order is called off
    cancel, CANCEL, "cancel_order", CancelRequest, CancelRequest::into_step
);

async fn change(
    request: &HttpRequest,
    order_id: &str,
    step: Result<Step, Vec<FieldError>>,
    writer: &impl OrderWriter,
) -> Result<HttpResponse, Problem> {
    let order_id = Uuid::try_parse(order_id)
        .map_err(|_| Problem::invalid_parameter(FieldError::parameter("order_id", "must be a UUID")))?;
    let condition = IfMatchHeader::of(request);
    let step = step.map_err(|faults| problems::INVALID_BODY.with(problems::INVALID_BODY.when).at(faults))?;
    let command = ChangeStatus { order_id, step, precondition: condition.precondition() };
    let changed =
        command.run(writer, Utc::now()).await.map_err(|error| problems::of_change(error, &condition))?;
    Ok(answer(&changed.order, changed.replayed))
}

fn answer(order: &Order, replayed: bool) -> HttpResponse {
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
        faults.or_else(Some(Step::Ship(Shipment { carrier, tracking_number })))
    }
}

impl CancelRequest {
    fn into_step(self) -> Result<Step, Vec<FieldError>> {
        let mut faults = Faults::default();
        let reason = faults.check_optional("/reason", self.reason, CancelReason::new);
        faults.or_else(Some(Step::Cancel(reason)))
    }
}

impl Explain for NoDetails {
    fn explain(body: &Value, faults: &mut Faults) {
        explain::Object::at(String::new(), body, &[], faults);
    }
}

impl Explain for ShipRequest {
    fn explain(body: &Value, faults: &mut Faults) {
        let known = ["carrier", "tracking_number"];
        let Some(shipment) = explain::Object::at(String::new(), body, &known, faults) else { return };
        shipment.optional("carrier", faults, |carrier: Option<String>| carrier.map(Carrier::new).transpose());
        shipment.optional("tracking_number", faults, |number: Option<String>| {
            number.map(TrackingNumber::new).transpose()
        });
    }
}

impl Explain for CancelRequest {
    fn explain(body: &Value, faults: &mut Faults) {
        let Some(body) = explain::Object::at(String::new(), body, &["reason"], faults) else { return };
        body.optional("reason", faults, |reason: Option<String>| reason.map(CancelReason::new).transpose());
    }
}
