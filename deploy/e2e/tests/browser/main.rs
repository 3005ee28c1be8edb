//! The dashboard in a real browser, on a real read-api.
//!
//! Needs Chromium and its driver. Without them the tests print a message and pass, unless `REQUIRE_BROWSER` is set.

mod accessibility;
mod all_customers;
mod browser;
mod connection;
mod copying;
mod days;
mod documents;
mod event_source;
mod lists;
mod old_data;
mod old_links;
mod operator_page;
mod order;
mod order_address;
mod pointer;
mod readable;
mod recorder;
mod retries;
mod scene;
mod scopes;
mod secured;
mod tabs;
mod tokens;
