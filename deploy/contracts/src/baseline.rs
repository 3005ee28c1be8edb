//! The committed baselines, and what was accepted to break since the first of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::changelog::Changelog;
use crate::rule::Break;

/// A contract of this build.
#[derive(Debug)]
pub struct Contract {
    /// Its name, which is also that of its baseline and in the changelog.
    pub name: &'static str,
    /// What this build promises.
    pub present: Value,
    /// The rules: what breaks in the second document, for users of the first.
    pub breaks: fn(&Value, &Value) -> Vec<Break>,
}

/// A folder with a baseline for each contract.
#[derive(Debug)]
pub struct Baselines {
    folder: PathBuf,
}

/// What is known of a baseline beside its text.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// Of the text. A baseline that another hand has changed has not been compared with the one before.
    sha256: String,
    /// The breaks that became part of the baseline.
    accepted: Vec<Break>,
}

/// Why a contract is not kept, or its baseline not written.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// A new contract.
    #[error("{0} has no baseline yet. Write it: UPDATE_CONTRACTS=1 cargo test -p contracts")]
    Missing(&'static str),
    /// The baseline is not the one that the last update wrote.
    #[error("the baseline of {0} was not written by an update. Restore `baselines/` from git, then update")]
    Edited(&'static str),
    /// Users of the baseline would break.
    #[error(
        "{contract} breaks its users:\n{}\nMake the change compatible. If it must be: add it under \"Breaking\" in \
         CHANGELOG.md, each item with `{contract}` and what is broken in backticks as above; then run \
         UPDATE_CONTRACTS=1 cargo test -p contracts",
        list(breaks)
    )]
    Broken {
        /// The contract.
        contract: &'static str,
        /// All breaks.
        breaks: Vec<Break>,
    },
    /// A baseline may have a break only if the changelog names it.
    #[error(
        "CHANGELOG.md does not name under \"Breaking\", with `{contract}`, what is in backticks here:\n{}",
        list(breaks)
    )]
    NotInChangelog {
        /// The contract.
        contract: &'static str,
        /// The breaks without an item.
        breaks: Vec<Break>,
    },
    /// A file cannot be read or written.
    #[error("cannot use {0}")]
    File(PathBuf, #[source] io::Error),
    /// A file is not the JSON that it should be.
    #[error("cannot read {0}")]
    Json(PathBuf, #[source] serde_json::Error),
}

fn list(breaks: &[Break]) -> String {
    breaks.iter().fold(String::new(), |mut text, broken| {
        let _ = writeln!(text, "- {broken}");
        text
    })
}

impl Baselines {
    /// The baselines in this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Checks that the contract keeps what its baseline promises, and that the changelog names all accepted breaks.
    pub fn check(&self, contract: &Contract, changelog: &Changelog) -> Result<(), ContractError> {
        let name = contract.name;
        let (baseline, record) = self.read(name)?.ok_or(ContractError::Missing(name))?;
        let breaks = (contract.breaks)(&baseline, &contract.present);
        if !breaks.is_empty() {
            return Err(ContractError::Broken { contract: name, breaks });
        }
        demand(name, record.accepted, |broken| changelog.names(name, broken)).map(drop)
    }

    /// Writes the baseline anew, if the changelog of the coming release names all that this breaks.
    pub fn update(&self, contract: &Contract, changelog: &Changelog) -> Result<(), ContractError> {
        let name = contract.name;
        let (breaks, mut record) = match self.read(name)? {
            Some((baseline, record)) => ((contract.breaks)(&baseline, &contract.present), record),
            None => (Vec::new(), Record::default()),
        };
        let breaks = demand(name, breaks, |broken| changelog.names_for_next_release(name, broken))?;
        record.accepted.extend(breaks);
        let text = format!("{:#}\n", contract.present);
        record.sha256 = digest(&text);
        let mut records = self.records()?;
        records.insert(name.to_owned(), record);
        let path = self.records_path();
        let records = serde_json::to_string_pretty(&records)
            .map_err(|error| ContractError::Json(path.clone(), error))?;
        write(&self.baseline_path(name), &text)?;
        write(&path, &format!("{records}\n"))
    }

    /// The names of all baselines.
    pub fn names(&self) -> Result<Vec<String>, ContractError> {
        Ok(self.records()?.into_keys().collect())
    }

    fn read(&self, name: &'static str) -> Result<Option<(Value, Record)>, ContractError> {
        let path = self.baseline_path(name);
        let record = self.records()?.remove(name);
        match (read(&path)?, record) {
            (None, None) => Ok(None),
            (Some(text), Some(record)) if digest(&text) == record.sha256 => {
                let baseline =
                    serde_json::from_str(&text).map_err(|error| ContractError::Json(path, error))?;
                Ok(Some((baseline, record)))
            }
            _ => Err(ContractError::Edited(name)),
        }
    }

    fn records(&self) -> Result<BTreeMap<String, Record>, ContractError> {
        let path = self.records_path();
        let Some(text) = read(&path)? else { return Ok(BTreeMap::new()) };
        serde_json::from_str(&text).map_err(|error| ContractError::Json(path, error))
    }

    fn baseline_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn records_path(&self) -> PathBuf {
        self.folder.join("records.json")
    }
}

/// The breaks, if each of them has an item in the changelog.
fn demand(
    contract: &'static str,
    breaks: Vec<Break>,
    is_named: impl Fn(&Break) -> bool,
) -> Result<Vec<Break>, ContractError> {
    let missing: Vec<_> = breaks.iter().filter(|broken| !is_named(broken)).cloned().collect();
    if missing.is_empty() {
        Ok(breaks)
    } else {
        Err(ContractError::NotInChangelog { contract, breaks: missing })
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The text of a file; nothing if there is none.
fn read(path: &Path) -> Result<Option<String>, ContractError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ContractError::File(path.to_owned(), error)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), ContractError> {
    fs::write(path, text).map_err(|error| ContractError::File(path.to_owned(), error))
}
