//! All cells of a database, one after the other.

use std::str::FromStr;

use anyhow::{Context, ensure};
use migrate::Cell;

/// The cell that is migrated before all others.
#[derive(Debug, Clone)]
pub(crate) enum Canary {
    /// By name.
    First,
    Named(String),
}

impl Canary {
    /// As an argument. No cell has this name.
    pub(crate) const FIRST: &str = "*";
}

impl FromStr for Canary {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            // Such as that of a variable of the shell that is not set.
            "" => Err("the name is empty"),
            Self::FIRST => Ok(Self::First),
            name => Ok(Self::Named(name.to_owned())),
        }
    }
}

/// Migrates each cell, and logs a line for it. Stops at the first one that fails: the same fault may wait in the
/// others. Run again, it goes on there. A canary comes first, and must then be without errors.
pub(crate) async fn up(url: &str, canary: Option<&Canary>) -> anyhow::Result<()> {
    let mut cells = find(url).await?;
    if let Some(Canary::Named(name)) = canary {
        let index = cells.iter().position(|cell| cell.schema() == *name);
        let canary = cells.remove(index.context("--canary names no cell of this database")?);
        cells.insert(0, canary);
    }
    for (done, cell) in cells.iter().enumerate() {
        let is_canary = canary.is_some() && done == 0;
        if let Err(error) = migrate(url, cell, is_canary).await {
            for untried in cells.iter().skip(done + 1) {
                tracing::info!(cell = untried.schema(), "cell not tried");
            }
            let (all, name) = (cells.len(), cell.schema());
            return Err(error
                .context(format!("the cell {name} failed; {done} of {all} cells were migrated before it")));
        }
    }
    Ok(())
}

async fn migrate(url: &str, cell: &Cell, is_canary: bool) -> anyhow::Result<()> {
    let applied = cell.up(url).await?.len();
    if is_canary {
        let report = cell.doctor(url).await?;
        ensure!(!report.has_errors(), "it is migrated, but not as it must be: {}", report.only_errors());
    }
    tracing::info!(cell = cell.schema(), migrations = applied, is_canary, "cell migrated");
    Ok(())
}

/// Logs a line for each cell. Fails if a migration of one is pending.
pub(crate) async fn status(url: &str) -> anyhow::Result<()> {
    let cells = find(url).await?;
    let mut behind = 0;
    for cell in &cells {
        let pending = cell.pending(url).await.with_context(|| format!("the cell {}", cell.schema()))?;
        behind += usize::from(!pending.is_empty());
        tracing::info!(cell = cell.schema(), pending = pending.len(), first = pending.first(), "cell");
    }
    ensure!(behind == 0, "migrations are pending in {behind} of {} cells", cells.len());
    Ok(())
}

async fn find(url: &str) -> anyhow::Result<Vec<Cell>> {
    let cells = Cell::all(url).await?;
    ensure!(!cells.is_empty(), "the database has no cell: `migrate up --schema NAME` makes one");
    Ok(cells)
}
