//! The contracts of this build keep what they promised before, and the rules find each way not to.

#![expect(clippy::expect_used, reason = "a document that a test names and does not have ends the test")]

mod baselines;
mod changelog;
mod edit;
mod events;
mod every_promise;
mod readme;
mod rules;
mod updates;
mod webhooks;
