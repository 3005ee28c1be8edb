//! One scenario a file.

mod bloat;
mod drain;
mod latency;
mod mixed;
mod read;
mod scale;
mod write;

use anyhow::Result;

use crate::plan::Plan;
use crate::report::Figure;
use crate::stage::Stage;

/// Something that is measured.
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
    /// Draining while an old snapshot keeps dead rows.
    Bloat,
    /// Everything at once.
    Mixed,
    /// The same with more and more orders.
    Scale,
}

impl Scenario {
    pub(crate) const ALL: [Self; 7] =
        [Self::Write, Self::Drain, Self::Read, Self::Latency, Self::Bloat, Self::Mixed, Self::Scale];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Write => write::NAME,
            Self::Drain => drain::NAME,
            Self::Read => read::NAME,
            Self::Latency => latency::NAME,
            Self::Bloat => bloat::NAME,
            Self::Mixed => mixed::NAME,
            Self::Scale => scale::NAME,
        }
    }

    /// Begins with empty tables.
    ///
    /// # Errors
    ///
    /// Whenever a request failed, or a table does not hold what was acknowledged: then there is no figure.
    pub(crate) async fn measure(self, stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
        match self {
            Self::Write => write::measure(stage, plan).await,
            Self::Drain => drain::measure(stage, plan).await,
            Self::Read => read::measure(stage, plan).await,
            Self::Latency => latency::measure(stage, plan).await,
            Self::Bloat => bloat::measure(stage, plan).await,
            Self::Mixed => mixed::measure(stage, plan).await,
            Self::Scale => scale::measure(stage, plan).await,
        }
    }
}
