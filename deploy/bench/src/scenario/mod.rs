//! One scenario per file.

mod bloat;
mod drain;
mod latency;
mod listeners;
mod locked;
mod mixed;
mod poison;
mod read;
mod scale;
mod webhook;
mod write;

use anyhow::{Result, ensure};

use crate::plan::Plan;
use crate::report::Figure;
use crate::stage::Stage;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Scenario {
    /// Orders placed over HTTP.
    Write,
    /// A backlog of events projected.
    Drain,
    /// Lists read over HTTP.
    Read,
    /// From commit to visible, and what waiting for events costs.
    Latency,
    /// Poison events among others.
    Poison,
    /// Rows locked by another session.
    Locked,
    /// Listeners of the event log that fail.
    Listeners,
    /// Events sent to a webhook.
    Webhook,
    /// Drain while an old snapshot keeps dead rows.
    Bloat,
    /// All processes at once.
    Mixed,
    /// The same operations with more and more orders.
    Scale,
}

impl Scenario {
    pub(crate) const ALL: [Self; 11] = [
        Self::Write,
        Self::Drain,
        Self::Read,
        Self::Latency,
        Self::Poison,
        Self::Locked,
        Self::Listeners,
        Self::Webhook,
        Self::Bloat,
        Self::Mixed,
        Self::Scale,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Drain => "drain",
            Self::Read => "read",
            Self::Latency => "latency",
            Self::Poison => "poison",
            Self::Locked => "locked",
            Self::Listeners => "listeners",
            Self::Webhook => "webhook",
            Self::Bloat => "bloat",
            Self::Mixed => "mixed",
            Self::Scale => "scale",
        }
    }

    /// Checks that the server has what the scenario needs, before any measurement.
    pub(crate) async fn check(self, stage: &Stage) -> Result<()> {
        ensure!(
            !matches!(self, Self::Latency | Self::Poison | Self::Locked | Self::Listeners | Self::Webhook)
                || stage.setting("track_commit_timestamp").await? == "on",
            "the server must have track_commit_timestamp = on, to measure from the commit of an order"
        );
        Ok(())
    }

    /// Expects empty tables.
    ///
    /// # Errors
    ///
    /// If a request failed, or a table does not match the acknowledged orders.
    pub(crate) async fn measure(self, stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
        let mut figures = match self {
            Self::Write => write::measure(stage, plan).await,
            Self::Drain => drain::measure(stage, plan).await,
            Self::Read => read::measure(stage, plan).await,
            Self::Latency => latency::measure(stage, plan).await,
            Self::Poison => poison::measure(stage, plan).await,
            Self::Locked => locked::measure(stage, plan).await,
            Self::Listeners => listeners::measure(stage, plan).await,
            Self::Webhook => webhook::measure(stage, plan).await,
            Self::Bloat => bloat::measure(stage, plan).await,
            Self::Mixed => mixed::measure(stage, plan).await,
            Self::Scale => scale::measure(stage, plan).await,
        }?;
        for figure in &mut figures {
            figure.scenario = self.name();
        }
        Ok(figures)
    }
}
