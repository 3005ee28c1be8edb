//! Changes that one poll has read, by customer, prepared for the subscribers.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::MAX_CHANGES;
use super::delivery::{Orders, QueueBudget};
use super::report::Reason;
use super::subscriber::{Subscriber, TooSlow};
use crate::model::{OrderSummary, ReadPosition};
use crate::port::Change;

/// Changes for one or more subscribers.
#[derive(Default)]
pub(super) enum Changes {
    #[default]
    None,
    Some(Arc<Orders>),
    Unsendable(Reason),
}

impl Changes {
    fn new(orders: Vec<Arc<OrderSummary>>, budget: &QueueBudget) -> Self {
        match orders.len() {
            0 => Self::None,
            count if count > MAX_CHANGES => Self::Unsendable(Reason::TooManyChanges),
            _ => budget.reserve(orders).map_or(Self::Unsendable(Reason::NoRoom), Self::Some),
        }
    }
}

/// The changes of one customer's orders.
#[derive(Default)]
pub(super) struct CustomerChanges {
    /// All that the poll has read, each with the transaction that wrote it.
    pub(super) all: Vec<(i64, Arc<OrderSummary>)>,
    /// Those that caught-up subscribers have not been sent. They share one list.
    caught_up: Changes,
}

impl CustomerChanges {
    /// Groups the changes by customer. `position` is the read position of the caught-up subscribers, if there are any.
    /// `already_sent` has the changes that they have been sent although the transaction is unseen at `position`.
    pub(super) fn by_customer(
        found: Vec<Change>,
        position: Option<&ReadPosition>,
        already_sent: &HashMap<Uuid, i64>,
        budget: &QueueBudget,
    ) -> HashMap<Arc<str>, Self> {
        let mut by_customer: HashMap<Arc<str>, Self> = HashMap::new();
        for Change { transaction, order } in found {
            let changes = by_customer.entry(Arc::clone(&order.customer_id)).or_default();
            changes.all.push((transaction, Arc::new(order)));
        }
        let Some(position) = position else { return by_customer };
        for changes in by_customer.values_mut() {
            let is_unsent = |(transaction, order): &&(i64, Arc<OrderSummary>)| {
                position.is_unseen(*transaction) && already_sent.get(&order.order_id) != Some(transaction)
            };
            let unsent = changes.all.iter().filter(is_unsent).map(|(_, order)| Arc::clone(order)).collect();
            changes.caught_up = Changes::new(unsent, budget);
        }
        by_customer
    }

    pub(super) fn send_to(&self, subscriber: &mut Subscriber, budget: &QueueBudget) -> Result<(), TooSlow> {
        let Some(position) = subscriber.own_position() else {
            return if subscriber.needs_snapshot() {
                Ok(())
            } else {
                subscriber.send_changes(&self.caught_up)
            };
        };
        let unseen = self.all.iter().filter(|(transaction, _)| position.is_unseen(*transaction));
        let unseen = unseen.map(|(_, order)| Arc::clone(order)).collect();
        subscriber.send_changes(&Changes::new(unseen, budget))
    }
}
