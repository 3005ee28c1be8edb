//! Options of single scenarios.

use clap::{Args, value_parser};

/// Who listens, and what was missed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Listeners {
    /// `webhook`: endpoints that get every event.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..=100))]
    pub(crate) endpoints: u16,
    /// `webhook`: further endpoints that want another kind of event.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(0..=99))]
    pub(crate) others: u16,
    /// `webhook`: further endpoints that get every event and never respond.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(0..=99))]
    pub(crate) dead: u16,
    /// `webhook`: projectors.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..=5))]
    pub(crate) projectors: u16,
    /// `catch-up`: how many events were missed; the default is an hour at 200 a second.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 720_000,
        value_parser = value_parser!(u32).range(300..=100_000_000)
    )]
    pub(crate) events: u32,
}
