//! What `deploy/` has for platforms: images, Compose, `HAProxy`, the chart and the units.
//!
//! The tests that are ignored need containers, Helm and systemd: `.ci/deploy` runs them.

#![expect(clippy::indexing_slicing, reason = "a value of JSON that is not there is null")]
#![expect(clippy::print_stdout, reason = "the figures stand in the output of .ci/deploy")]

mod chart;
mod commands;
mod compose;
mod environment;
mod haproxy;
mod images;
mod pods;
mod secrets;
mod units;
mod variables;
