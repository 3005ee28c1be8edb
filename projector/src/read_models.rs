//! Which read models there are.

use crate::projection::{OrderSummary, Projection};

/// The projections of the claim. They share its transaction: what stops one of them stops all.
#[must_use]
pub fn projections() -> Vec<Box<dyn Projection>> {
    vec![Box::new(OrderSummary)]
}

/// The read models that are subscriptions: each has its own checkpoint and fails alone. Add yours here.
#[must_use]
pub fn read_models() -> Vec<Box<dyn Projection>> {
    Vec::new()
}

/// What a projector keeps up to date.
pub struct ReadModels {
    /// In the claim.
    pub claimed: Vec<Box<dyn Projection>>,
    /// In a subscription each.
    pub subscribed: Vec<Box<dyn Projection>>,
}

impl ReadModels {
    /// All read models of this build.
    #[must_use]
    pub fn all() -> Self {
        Self { claimed: projections(), subscribed: read_models() }
    }

    /// These and one more, in a subscription: for a program of your own that is this projector with your read model.
    #[must_use]
    pub fn and(mut self, read_model: impl Projection + 'static) -> Self {
        self.subscribed.push(Box::new(read_model));
        self
    }
}

/// Only in the claim.
impl From<Vec<Box<dyn Projection>>> for ReadModels {
    fn from(claimed: Vec<Box<dyn Projection>>) -> Self {
        Self { claimed, subscribed: Vec::new() }
    }
}
