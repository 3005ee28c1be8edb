//! Dependencies point one way: between packages, and between the layers of a service.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{DependencyKind, MetadataCommand};

#[path = "layering/rules.rs"]
mod rules;

use self::rules::{
    ALLOWED, FORBIDDEN_BELOW_THE_CONTRACT, FORBIDDEN_CRYPTOGRAPHY, FORBIDDEN_EVERYWHERE, FORBIDDEN_IN,
};

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

/// `Cargo.lock` and `cargo metadata` name `ring`, an optional dependency that is not used. `cargo tree` does not.
#[test]
fn there_is_one_crypto_provider() -> Result<()> {
    let options = ["tree", "--workspace", "--all-features", "--target=all", "--prefix=none", "--format={p}"];
    let output = Command::new(env!("CARGO")).args(options).current_dir(workspace()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout)?;
    let names: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("aws-lc-rs"), "the walk found too little");
    for name in FORBIDDEN_CRYPTOGRAPHY {
        assert!(!names.contains(name), "a package depends on {name}");
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
