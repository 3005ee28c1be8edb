//! An order takes a step: it is paid, shipped, delivered or cancelled.

use chrono::{DateTime, Utc};
use shared_events::OrderStatus;
use uuid::Uuid;

use crate::domain::{Order, Step, StepRefused};
use crate::port::{OrderWriter, Saved, WriteError};

/// How often a step is computed anew because somebody else was faster.
const ATTEMPTS: usize = 5;

/// The wish that an order take a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeStatus {
    /// Which order.
    pub order_id: Uuid,
    /// Which step.
    pub step: Step,
    /// What the caller takes the order to be.
    pub precondition: Precondition,
}

/// The versions on which a caller bases a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Whichever it is.
    AnyVersion,
    /// One of these. None at all is a condition that nothing meets.
    OneOf(Vec<i32>),
}

/// An order that has taken the step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedOrder {
    /// The order as it is now.
    pub order: Order,
    /// Whether an earlier command had taken the step: then nothing changed and no event was written.
    pub replayed: bool,
}

/// Why an order did not take the step.
#[derive(Debug, thiserror::Error)]
pub enum ChangeStatusError {
    /// There is no such order.
    #[error("there is no such order")]
    NotFound,
    /// The order has a version that the caller did not expect.
    #[error("the order has version {current}")]
    PreconditionFailed {
        /// The order's version.
        current: i32,
    },
    /// The order's status does not allow the step.
    #[error("an order that is {from} cannot become {to}")]
    Forbidden {
        /// Where the order stands.
        from: OrderStatus,
        /// Where the step would lead.
        to: OrderStatus,
    },
    /// Others changed the order each time between reading and writing it.
    #[error("the order changed {ATTEMPTS} times while the step was being taken")]
    Contended,
    /// It could not be read or stored.
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
    /// Takes the step, or finds that it was taken before. Where others are faster it is computed anew from what they
    /// left, a few times.
    ///
    /// # Errors
    ///
    /// [`ChangeStatusError`].
    pub async fn run(
        self,
        writer: &impl OrderWriter,
        now: DateTime<Utc>,
    ) -> Result<ChangedOrder, ChangeStatusError> {
        let mut current = writer.find(self.order_id).await?.ok_or(ChangeStatusError::NotFound)?;
        for _ in 0..ATTEMPTS {
            let (changed, event) = match current.take(&self.step, now) {
                Ok(change) => change,
                // A repeat of the very request that took the step names the version that it took it from, which is
                // not the current one any more: that is no conflict (RFC 9110, 13.1.1).
                Err(StepRefused::AlreadyTaken { from_version }) if self.precondition.allows(from_version) => {
                    return Ok(ChangedOrder { order: current, replayed: true });
                }
                Err(refused) => return self.refuse(current, refused),
            };
            self.check(&current)?;
            match writer.save(&changed, event).await? {
                Saved::Stored => return Ok(ChangedOrder { order: changed, replayed: false }),
                Saved::Superseded(newer) => current = *newer,
            }
        }
        Err(ChangeStatusError::Contended)
    }

    /// A caller who was mistaken about the version is told so first: what the status allows is another order's matter.
    fn refuse(&self, current: Order, refused: StepRefused) -> Result<ChangedOrder, ChangeStatusError> {
        self.check(&current)?;
        match refused {
            StepRefused::AlreadyTaken { .. } => Ok(ChangedOrder { order: current, replayed: true }),
            StepRefused::Forbidden { from, to } => Err(ChangeStatusError::Forbidden { from, to }),
        }
    }

    fn check(&self, current: &Order) -> Result<(), ChangeStatusError> {
        if self.precondition.allows(current.version()) {
            Ok(())
        } else {
            Err(ChangeStatusError::PreconditionFailed { current: current.version() })
        }
    }
}
