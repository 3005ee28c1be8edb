//! The dashboard in a real browser, on a real read-api.
//!
//! Needs Chromium and its driver. Without them the tests print a message and pass, unless `REQUIRE_BROWSER` is set.

mod accessibility;
mod browser;
mod connection;
mod event_source;
mod lists;
mod old_data;
mod old_links;
mod readable;
mod retries;
mod scene;
mod tabs;
