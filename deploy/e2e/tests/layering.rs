//! Dependencies point one way: between packages, and between the layers of a service.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// The workspace packages that each package uses outside its tests.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("shared-events", &[]),
    ("service-kit", &[]),
    ("write-api", &["service-kit", "shared-events"]),
    ("projector", &["service-kit", "shared-events"]),
    ("read-api", &["service-kit"]),
    ("migrate", &["service-kit"]),
    ("testkit", &["migrate"]),
    ("local", &["service-kit", "testkit"]),
    ("e2e", &[]),
    ("bench", &["testkit"]),
    ("contracts", &[]),
    ("revenue", &["projector", "service-kit", "shared-events"]),
];

/// Libraries that the event contract must not depend on, even indirectly.
const FORBIDDEN_BELOW_THE_CONTRACT: [&str; 4] = ["actix-web", "diesel", "tokio", "tokio-postgres"];

/// C libraries that would have to be installed before a build.
const FORBIDDEN_EVERYWHERE: [&str; 3] = ["pq-sys", "openssl-sys", "native-tls"];

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
const FORBIDDEN_IN: [(&str, &[&str]); 34] = [
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

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn packages_use_only_what_they_are_allowed_to() -> Result<()> {
    let metadata = MetadataCommand::new().manifest_path(workspace().join("Cargo.toml")).no_deps().exec()?;
    let members: BTreeSet<_> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let known: BTreeSet<_> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(members, known, "every package has a rule");
    for package in &metadata.packages {
        let uses: BTreeSet<_> = package
            .dependencies
            .iter()
            .filter(|dependency| {
                dependency.kind != DependencyKind::Development && members.contains(&dependency.name)
            })
            .map(|dependency| dependency.name.as_str())
            .collect();
        let (_, allowed) = ALLOWED.iter().find(|(name, _)| package.name == *name).context("no rule")?;
        let allowed: BTreeSet<_> = allowed.iter().copied().collect();
        assert_eq!(uses, allowed, "{} (a rule that allows more than is used is too wide)", package.name);
    }
    Ok(())
}

#[test]
fn the_event_contract_knows_nothing_of_http_or_sql() -> Result<()> {
    let metadata = MetadataCommand::new().manifest_path(workspace().join("Cargo.toml")).exec()?;
    let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
    let contract =
        metadata.packages.iter().find(|package| package.name == "shared-events").context("no contract")?;
    let (mut seen, mut to_visit) = (BTreeSet::new(), vec![&contract.id]);
    while let Some(id) = to_visit.pop() {
        let node = resolve.nodes.iter().find(|node| node.id == *id).context("an unknown package")?;
        let normal = node.deps.iter().filter(|dependency| {
            dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
        });
        to_visit.extend(normal.map(|dependency| &dependency.pkg).filter(|id| seen.insert(*id)));
    }
    let names: BTreeSet<_> = seen.iter().map(|id| metadata[*id].name.as_str()).collect();
    assert!(names.contains("serde_json"), "the walk found too little: {names:?}");
    for name in FORBIDDEN_BELOW_THE_CONTRACT {
        assert!(!names.contains(name), "shared-events depends on {name}");
    }
    Ok(())
}

#[test]
fn a_build_needs_no_installed_c_library() -> Result<()> {
    let lock = fs::read_to_string(workspace().join("Cargo.lock"))?;
    assert!(lock.contains("name = \"diesel\""), "not the lock file that was meant");
    for name in FORBIDDEN_EVERYWHERE {
        assert!(!lock.contains(&format!("name = \"{name}\"")), "{name} is in Cargo.lock");
    }
    Ok(())
}

/// The forbidden words in the code of a layer, without comments.
fn violations(code: &str, forbidden: &[&str]) -> Vec<String> {
    let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let found = lines.flat_map(|line| {
        forbidden
            .iter()
            .filter(move |word| line.contains(**word))
            .map(move |word| format!("`{word}` in `{line}`"))
    });
    found.collect()
}

fn rust_files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        files.extend(rust_files(&entry?.path())?);
    }
    Ok(files)
}

#[test]
fn layers_do_not_use_outer_layers() -> Result<()> {
    for (layer, forbidden) in FORBIDDEN_IN {
        let files = rust_files(&workspace().join(layer))?;
        assert!(!files.is_empty(), "{layer} has no files");
        for file in files {
            let found = violations(&fs::read_to_string(&file)?, forbidden);
            assert!(found.is_empty(), "{}: {found:?}", file.display());
        }
    }
    Ok(())
}

#[test]
fn the_check_finds_a_violation() {
    let code = "// diesel may be mentioned\nuse diesel::prelude::*;\nlet now = chrono::Utc::now();";
    assert_eq!(violations(code, &["diesel", "Utc::now"]).len(), 2);
}

#[test]
fn the_top_level_has_only_expected_files() -> Result<()> {
    let fixed = [
        "Cargo.toml",
        "write-api",
        "read-api",
        "projector",
        "shared-events",
        "migrations",
        "deploy",
        "README.md",
    ];
    let conventional = [
        "Cargo.lock",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs",
        "justfile",
        "clippy.toml",
        "rustfmt.toml",
        "deny.toml",
        "schemathesis.toml",
        "target",
    ];
    for entry in fs::read_dir(workspace())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let expected =
            name.starts_with('.') || fixed.contains(&name.as_str()) || conventional.contains(&name.as_str());
        assert!(expected, "{name} does not belong at the top level");
    }
    for name in fixed {
        assert!(workspace().join(name).exists(), "{name} is missing");
    }
    Ok(())
}
