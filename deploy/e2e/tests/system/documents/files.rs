//! The Markdown files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A Markdown file.
#[derive(Debug)]
pub(super) struct Document {
    /// From the root of the repository.
    pub(super) path: String,
    pub(super) text: String,
}

impl Document {
    pub(super) fn read(path: &str) -> Result<Self> {
        let text = fs::read_to_string(root().join(path)).with_context(|| path.to_owned())?;
        Ok(Self { path: path.to_owned(), text })
    }
}

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All documents, the README first: a newcomer starts there.
pub(super) fn documents() -> Result<Vec<Document>> {
    let mut paths = markdown_files(&root())?;
    paths.sort_by_key(|path| (path.as_path() != Path::new("README.md"), path.clone()));
    paths.iter().map(|path| Document::read(path.to_str().context("a path that is no UTF-8")?)).collect()
}

/// Paths from the root. Build output and hidden folders have no documents.
fn markdown_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(markdown_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path.strip_prefix(root())?.to_path_buf());
        }
    }
    Ok(found)
}
