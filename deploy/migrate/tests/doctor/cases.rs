//! One thing is broken at a time.

use anyhow::{Result, ensure};
use migrate::{Finding, Level};

use crate::{found_after, healthy};

/// What is broken, how it is undone, and what is found: the check, the level, a part of the finding and of the remedy.
pub(crate) type Case = (&'static str, &'static str, &'static str, Level, &'static str, &'static str);

pub(crate) async fn check(cases: &[Case]) -> Result<()> {
    let owned = healthy().await?;
    for (broken, undo, check, level, finding, remedy) in cases {
        let report = found_after(&owned, broken, undo).await?;
        let is_it = |one: &Finding| {
            one.check == *check
                && one.level == *level
                && one.finding.contains(finding)
                && one.remedy.contains(remedy)
        };
        ensure!(report.findings.iter().all(is_it), "{broken}: {report}");
        ensure!(!report.findings.is_empty(), "{broken}: nothing was found");
        ensure!(report.has_errors() == (*level == Level::Error), "{broken}: {report}");
    }
    let left = found_after(&owned, "SELECT", "SELECT").await?;
    assert_eq!(left.findings, [], "each case was undone");
    Ok(())
}
