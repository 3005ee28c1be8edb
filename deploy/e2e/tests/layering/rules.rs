//! Who may use what.

/// The workspace packages that each package uses outside its tests.
pub(crate) const ALLOWED: [(&str, &[&str]); 13] = [
    ("shared-events", &[]),
    ("service-kit", &[]),
    ("write-api", &["service-kit", "shared-events"]),
    ("projector", &["service-kit", "shared-events"]),
    ("read-api", &["service-kit"]),
    ("migrate", &["service-kit"]),
    ("testkit", &["migrate"]),
    ("local", &["receiver", "service-kit", "testkit"]),
    ("e2e", &[]),
    ("bench", &["service-kit", "testkit"]),
    ("contracts", &[]),
    ("receiver", &[]),
    ("revenue", &["projector", "service-kit", "shared-events"]),
];

/// Libraries that the event contract must not depend on, even indirectly.
pub(crate) const FORBIDDEN_BELOW_THE_CONTRACT: [&str; 4] = ["actix-web", "diesel", "tokio", "tokio-postgres"];

/// C libraries that would have to be installed before a build.
pub(crate) const FORBIDDEN_EVERYWHERE: [&str; 3] = ["pq-sys", "openssl-sys", "native-tls"];

/// Cryptography beside `aws-lc-rs`, the one provider.
pub(crate) const FORBIDDEN_CRYPTOGRAPHY: [&str; 2] = ["ring", "rsa"];

/// Words that the projector's database, outbox, parked and waiting events must not use.
const PROJECTOR_ABOVE_STORAGE: &[&str] = &[
    "crate::projection",
    "crate::metrics",
    "crate::batch",
    "crate::subscription",
    "crate::worker",
    "crate::admin",
    "crate::cli",
    "actix",
];

/// Words that the feed must not use: it knows the log, not what else listens to it.
const FORBIDDEN_IN_THE_FEED: &[&str] = &[
    "crate::projection",
    "crate::subscription",
    "crate::parked",
    "crate::waiting",
    "crate::batch",
    "crate::worker",
    "crate::admin",
    "crate::cli",
];

/// Words that the files of a layer must not use.
pub(crate) const FORBIDDEN_IN: [(&str, &[&str]); 34] = [
    (
        "write-api/src/domain",
        &[
            "crate::adapter",
            "crate::command",
            "crate::port",
            "actix",
            "diesel",
            "tokio",
            "serde",
            "Utc::now",
            "now_v7",
            "new_v4",
            "std::env",
        ],
    ),
    ("write-api/src/port.rs", &["crate::adapter", "crate::command", "actix", "diesel"]),
    ("write-api/src/command", &["crate::adapter", "actix", "diesel"]),
    ("write-api/src/adapter/http", &["adapter::postgres", "diesel"]),
    ("write-api/src/adapter/postgres", &["adapter::http", "actix", "crate::command"]),
    ("read-api/src/model", &["crate::adapter", "crate::port", "actix", "diesel"]),
    ("read-api/src/port.rs", &["crate::adapter", "actix", "diesel"]),
    ("read-api/src/config.rs", &["crate::adapter", "actix", "diesel"]),
    ("read-api/src/cursor.rs", &["crate::adapter", "actix", "diesel"]),
    ("read-api/src/version_wait.rs", &["crate::adapter", "actix", "diesel"]),
    ("read-api/src/live.rs", &["crate::adapter", "actix", "diesel"]),
    ("read-api/src/live", &["crate::adapter", "actix", "diesel"]),
    ("read-api/src/adapter/http", &["adapter::postgres", "diesel"]),
    ("read-api/src/adapter/postgres", &["adapter::http", "actix", "crate::live", "crate::version_wait"]),
    ("projector/src/database.rs", PROJECTOR_ABOVE_STORAGE),
    ("projector/src/outbox", PROJECTOR_ABOVE_STORAGE),
    ("projector/src/outbox", &["crate::parked", "crate::waiting"]),
    ("projector/src/parked", PROJECTOR_ABOVE_STORAGE),
    ("projector/src/parked", &["crate::waiting"]),
    ("projector/src/waiting", PROJECTOR_ABOVE_STORAGE),
    ("projector/src/waiting", &["crate::parked"]),
    (
        "projector/src/projection",
        &[
            "crate::outbox",
            "crate::parked",
            "crate::waiting",
            "crate::metrics",
            "crate::batch",
            "crate::subscription",
            "crate::worker",
            "crate::admin",
            "crate::cli",
            "actix",
        ],
    ),
    (
        "projector/src/metrics.rs",
        &[
            "crate::parked",
            "crate::waiting",
            "crate::projection",
            "crate::batch",
            "crate::subscription",
            "crate::worker",
            "crate::admin",
            "crate::cli",
            "actix",
        ],
    ),
    ("projector/src/batch", &["crate::subscription", "crate::worker", "crate::admin", "crate::cli", "actix"]),
    ("projector/src/subscription", &["crate::admin", "crate::cli", "actix"]),
    ("projector/src/worker", &["crate::admin", "crate::cli", "actix", "diesel"]),
    ("projector/src/webhooks", &["crate::batch", "crate::worker", "crate::admin", "crate::cli", "actix"]),
    ("projector/src/webhooks/client.rs", &["diesel"]),
    ("projector/src/webhooks/sender.rs", &["diesel"]),
    ("projector/src/webhooks/attempt.rs", &["diesel"]),
    ("projector/src/feed", FORBIDDEN_IN_THE_FEED),
    ("projector/src/feed/feed.rs", &["actix", "diesel"]),
    ("projector/src/feed/get_events.rs", &["diesel"]),
    ("projector/src/admin/mod.rs", &["crate::worker", "crate::cli", "crate::projection", "diesel"]),
];
