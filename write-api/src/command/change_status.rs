//! Takes an order one step further: pay, ship, deliver or cancel.

use chrono::{DateTime, Utc};
use shared_events::OrderStatus;
use uuid::Uuid;

use crate::domain::{CustomerId, Detail, Order, Step, StepRefused};
use crate::port::{OrderWriter, SaveResult, WriteError};

/// How often a step is computed again after a concurrent change of the order.
const ATTEMPTS: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeStatus {
    pub order_id: Uuid,
    /// The customer whose order it must be. Another customer's order is not found, whatever its version and status.
    pub owner: Option<CustomerId>,
    pub step: Step,
    pub precondition: Precondition,
}

/// The versions of an order to which a command applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    AnyVersion,
    /// One of these. An empty list matches no version.
    OneOf(Vec<i32>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedOrder {
    /// The order in its current state.
    pub order: Order,
    /// Whether an earlier command took the step. Then nothing changed and no event was written.
    pub replayed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeStatusError {
    #[error("there is no such order")]
    NotFound,
    /// The caller did not expect the order's version.
    #[error("the order has version {current}")]
    PreconditionFailed { current: i32 },
    /// The order's status does not allow the step.
    #[error("an order that is {from} cannot become {to}")]
    Forbidden {
        /// The order's current status.
        from: OrderStatus,
        /// The status after the step.
        to: OrderStatus,
    },
    /// The order has already taken the step, with other details.
    #[error("the order took this step with other details")]
    TakenWithOtherDetails {
        /// What this step has and the first one had not.
        differing: Vec<Detail>,
    },
    /// Another command changed the order between each read and write.
    #[error("the order was changed concurrently during {ATTEMPTS} attempts")]
    Contended,
    #[error("the order could not be changed")]
    Write(#[from] WriteError),
}

impl Precondition {
    fn allows(&self, version: i32) -> bool {
        match self {
            Self::AnyVersion => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }
}

impl ChangeStatus {
    /// Takes the step, unless the order has already taken it. After a concurrent change, the step is computed again
    /// from the new state, up to [`ATTEMPTS`] times.
    pub async fn run(
        self,
        writer: &impl OrderWriter,
        now: DateTime<Utc>,
    ) -> Result<ChangedOrder, ChangeStatusError> {
        let found = writer.find(self.order_id, self.owner.as_ref()).await?;
        let mut current = found.ok_or(ChangeStatusError::NotFound)?;
        for _ in 0..ATTEMPTS {
            let (changed, event) = match self.step.apply(&current, now) {
                Ok(change) => change,
                // A repeat of the request that took the step names the version before the step. That is not a conflict,
                // although it is no longer the current version (RFC 9110, 13.1.1).
                Err(StepRefused::AlreadyTaken { from_version }) if self.precondition.allows(from_version) => {
                    return Ok(ChangedOrder { order: current, replayed: true });
                }
                Err(StepRefused::TakenWithOtherDetails { from_version, differing })
                    if self.precondition.allows(from_version) =>
                {
                    return Err(ChangeStatusError::TakenWithOtherDetails { differing });
                }
                Err(refused) => return self.handle_refusal(current, refused),
            };
            self.check_precondition(&current)?;
            match writer.save(&changed, event).await? {
                SaveResult::Stored => return Ok(ChangedOrder { order: changed, replayed: false }),
                SaveResult::Conflict(newer) => current = *newer,
            }
        }
        Err(ChangeStatusError::Contended)
    }

    /// Checks the precondition first: if the caller has a stale version, 412 is more useful than 409.
    fn handle_refusal(
        &self,
        current: Order,
        refused: StepRefused,
    ) -> Result<ChangedOrder, ChangeStatusError> {
        self.check_precondition(&current)?;
        match refused {
            StepRefused::AlreadyTaken { .. } => Ok(ChangedOrder { order: current, replayed: true }),
            StepRefused::TakenWithOtherDetails { differing, .. } => {
                Err(ChangeStatusError::TakenWithOtherDetails { differing })
            }
            StepRefused::Forbidden { from, to } => Err(ChangeStatusError::Forbidden { from, to }),
        }
    }

    fn check_precondition(&self, current: &Order) -> Result<(), ChangeStatusError> {
        if self.precondition.allows(current.version()) {
            Ok(())
        } else {
            Err(ChangeStatusError::PreconditionFailed { current: current.version() })
        }
    }
}
