//! Subscriptions: the listeners of the event log, each at its own pace.
//!
//! | File | Holds |
//! |---|---|
//! | `task` | the task of a subscription: start reading here; `wait` says how long it waits, `steps` what it repeats |
//! | `failure` | what a task does when a batch fails |
//! | `claim` | the first step of each batch: lock the subscription, read the events after its checkpoint |
//! | `single` | a subscription without a task of its own |
//! | `start` | the tasks of the read models that are subscriptions |
//! | `read_model` | a batch of a read model |
//! | `listener` | the trait of other listeners, and a batch of one |
//! | `parked` | the dead letters of subscriptions |
//! | `store` | the statements on `subscriptions` and their checkpoints, for workers; `due` those on failures |
//! | [`operator`] | what `projector subscriptions …` queries and changes |
//!
//! A subscription has a row, and one with its checkpoint: all events up to it have taken effect, or are parked. One
//! transaction locks the former, reads the next events, applies them and moves the checkpoint. So each event takes
//! effect once, and one worker runs at a time, in whichever process. If that process dies, its lock ends and another
//! one goes on.
//!
//! # Failures
//!
//! - **An event is refused.** It moves to `subscription_parked`, in the transaction that applies its neighbours. The
//!   same happens to an event whose row another session has locked; that is not a failed attempt.
//! - **Everything fails**, for example because the read model's table is locked or was dropped. The batch is rolled
//!   back, the failure is recorded in the subscription's row, and it pauses. Other subscriptions go on: each has its
//!   own task, and each read model its own connection.
//! - **Events are gone** that were never read. The subscription is lost, until an operator decides.

pub(crate) mod claim;
mod due;
mod failure;
mod listener;
pub mod operator;
mod parked;
mod progress;
mod read_model;
mod single;
mod start;
mod steps;
pub(crate) mod store;
mod task;
mod wait;

pub use self::listener::Listener;
pub use self::parked::skipped_due;
pub use self::progress::{Handled, Progress};
pub use self::read_model::ReadModelSteps;
pub(crate) use self::single::{Single, Stepped};
pub use self::start::StartError;
pub(crate) use self::start::{CONNECTIONS_EACH, read_model_tasks};
pub use self::store::{Start, create};
pub use self::task::{Pace, Task};
pub(crate) use self::wait::{HolePause, Wait, after_batch};
// What batches of several subscriptions need too.
pub(crate) use crate::batch::BatchError;
pub(crate) use crate::worker::BatchSize;
