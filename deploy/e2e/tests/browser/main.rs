//! The dashboard in a real browser, on a real read-api.
//!
//! Needs Chromium and its driver. Where they are missing the tests say so and pass, unless `REQUIRE_BROWSER` is set.

mod accessibility;
mod browser;
mod connection;
mod event_source;
mod lists;
mod old_links;
mod readable;
mod retries;
mod scene;
mod tabs;
mod trust;
