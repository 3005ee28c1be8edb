//! What the checks found.

use std::fmt;

use serde::Serialize;

use crate::schema_name::SchemaName;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A process cannot work, or a role can do what it must not.
    Error,
    /// Works, but not as promised.
    Warning,
    /// Optional.
    Hint,
}

/// Something to be repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check found it: `pooler`, `server`, `migrations`, `rights`, `roles`, `connections`, `grants`,
    /// `elsewhere`, `settings`, `event_log` or `citus`.
    pub check: &'static str,
    pub level: Level,
    pub finding: String,
    pub remedy: String,
}

/// All findings, the worst first. Its `Display` has two lines for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// That of the tables. Names in remedies mean what is there.
    pub schema: String,
    pub findings: Vec<Finding>,
}

impl Report {
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Error)
    }

    /// Without warnings and hints.
    #[must_use]
    pub fn only_errors(mut self) -> Self {
        self.findings.retain(|finding| finding.level == Level::Error);
        self
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { check, level, finding, remedy } in &self.findings {
            writeln!(f, "{level} ({check}): {finding}\n  remedy: {remedy}")?;
        }
        if self.schema != "public" && !self.findings.is_empty() {
            let schema = SchemaName::existing(self.schema.clone());
            writeln!(f, "before a remedy in SQL: SET search_path = {}", schema.quoted())?;
        }
        let number = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        let [errors, warnings, hints] = [Level::Error, Level::Warning, Level::Hint].map(number);
        write!(f, "errors: {errors}, warnings: {warnings}, hints: {hints}")
    }
}
