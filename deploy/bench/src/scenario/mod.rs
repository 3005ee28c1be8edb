//! One scenario per file.

mod auth;
mod bloat;
mod catch_up;
mod drain;
mod event_log;
mod feed;
mod latency;
mod listeners;
mod locked;
mod logs;
mod mixed;
mod poison;
mod read;
mod scale;
mod shares;
mod size;
mod traces;
mod webhook;
mod write;

use anyhow::{Result, ensure};

use crate::plan::Plan;
use crate::report::Figure;
use crate::stage::Stage;

/// The read model of the example.
const SUBSCRIPTION: &str = "revenue_1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Orders placed over HTTP.
    Write,
    /// A backlog of events projected.
    Drain,
    /// What the event log costs.
    EventLog,
    /// Lists read over HTTP.
    Read,
    /// What access tokens cost.
    Auth,
    /// What one caller over its share costs another.
    Shares,
    /// What metrics and access lines cost.
    Logs,
    /// What traces cost.
    Traces,
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
    /// Events that a client of the feed waits for.
    Feed,
    /// Listeners that were away.
    CatchUp,
    /// Drain while an old snapshot keeps dead rows.
    Bloat,
    /// All processes at once.
    Mixed,
    /// The same operations with more and more orders.
    Scale,
    /// What processes, connections and orders take: memory, WAL and bytes.
    Size,
}

impl Scenario {
    pub(crate) const ALL: [Self; 19] = [
        Self::Write,
        Self::Drain,
        Self::EventLog,
        Self::Read,
        Self::Auth,
        Self::Shares,
        Self::Logs,
        Self::Traces,
        Self::Latency,
        Self::Poison,
        Self::Locked,
        Self::Listeners,
        Self::Webhook,
        Self::Feed,
        Self::CatchUp,
        Self::Bloat,
        Self::Mixed,
        Self::Scale,
        Self::Size,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Drain => "drain",
            Self::EventLog => "event-log",
            Self::Read => "read",
            Self::Auth => "auth",
            Self::Shares => "shares",
            Self::Logs => "logs",
            Self::Traces => "traces",
            Self::Latency => "latency",
            Self::Poison => "poison",
            Self::Locked => "locked",
            Self::Listeners => "listeners",
            Self::Webhook => "webhook",
            Self::Feed => "feed",
            Self::CatchUp => "catch-up",
            Self::Bloat => "bloat",
            Self::Mixed => "mixed",
            Self::Scale => "scale",
            Self::Size => "size",
        }
    }

    fn measures_from_the_commit(self) -> bool {
        let from_the_commit = matches!(self, Self::Latency | Self::Poison | Self::Locked);
        from_the_commit || matches!(self, Self::Listeners | Self::Webhook | Self::Feed)
    }

    /// Checks that the server has what the scenario needs, before any measurement.
    pub(crate) async fn check(self, stage: &Stage) -> Result<()> {
        ensure!(
            !self.measures_from_the_commit() || stage.setting("track_commit_timestamp").await? == "on",
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
            Self::EventLog => event_log::measure(stage, plan).await,
            Self::Read => read::measure(stage, plan).await,
            Self::Auth => auth::measure(stage, plan).await,
            Self::Shares => shares::measure(stage, plan).await,
            Self::Logs => logs::measure(stage, plan).await,
            Self::Traces => traces::measure(stage, plan).await,
            Self::Latency => latency::measure(stage, plan).await,
            Self::Poison => poison::measure(stage, plan).await,
            Self::Locked => locked::measure(stage, plan).await,
            Self::Listeners => listeners::measure(stage, plan).await,
            Self::Webhook => webhook::measure(stage, plan).await,
            Self::Feed => feed::measure(stage, plan).await,
            Self::CatchUp => catch_up::measure(stage, plan).await,
            Self::Bloat => bloat::measure(stage, plan).await,
            Self::Mixed => mixed::measure(stage, plan).await,
            Self::Scale => scale::measure(stage, plan).await,
            Self::Size => size::measure(stage, plan).await,
        }?;
        for figure in &mut figures {
            figure.scenario = self.name();
        }
        Ok(figures)
    }
}
