//! What the example adds to the product: one line to the projector's wiring, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// All files of a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

/// The code of a program, without comments and imports.
fn code(path: &str) -> Result<BTreeSet<String>> {
    let text = read(&root().join(path))?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with("use "));
    Ok(lines.map(str::to_owned).collect())
}

#[test]
fn the_projector_of_the_example_differs_in_one_line() -> Result<()> {
    let product = code("projector/src/main.rs")?;
    let example = code("deploy/examples/revenue/src/bin/revenue-projector.rs")?;
    let added: Vec<_> = example.difference(&product).collect();
    assert_eq!(added, ["cli::run(cli, vars, ReadModels::all().and(RevenueByMonth)).await"]);
    assert_eq!(product.difference(&example).count(), 1, "the line that it replaces");
    Ok(())
}

#[test]
fn no_service_and_no_migration_of_the_product_knows_the_example() -> Result<()> {
    let mut searched = 0;
    for folder in ["write-api/src", "read-api/src", "projector/src", "shared-events/src", "migrations"] {
        for file in files(&root().join(folder))? {
            if file.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
                assert!(!read(&file)?.to_lowercase().contains("revenue"), "{}", file.display());
                searched += 1;
            }
        }
    }
    assert!(searched > 200, "searched only {searched} files");
    for package in ["write-api", "read-api", "projector", "shared-events"] {
        assert!(!read(&root().join(package).join("Cargo.toml"))?.contains("revenue"), "{package}");
    }
    Ok(())
}
