//! A session that locks summaries.

use std::fmt;
use std::ops::Range;

use anyhow::Result;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::stage::Stage;

pub(super) const MAX_LOCKED: u32 = 5_000;
const UNCOMMITTED: u32 = 600;

/// The rows that another session locks.
pub(super) const HOLDS: [Hold; 4] = [
    Hold { rows: 1, kind: HoldKind::Locked },
    Hold { rows: 100, kind: HoldKind::Locked },
    Hold { rows: MAX_LOCKED, kind: HoldKind::Locked },
    Hold { rows: UNCOMMITTED, kind: HoldKind::Uncommitted },
];

#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    pub(super) rows: u32,
    kind: HoldKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HoldKind {
    /// Existing rows.
    Locked,
    /// Rows that the session inserted without a commit.
    Uncommitted,
}

/// A transaction that keeps rows locked until it is rolled back.
pub(super) struct Holder {
    session: Client,
    connection: JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Hold {
    pub(super) fn with_rows(self, rows: u32) -> Self {
        Self { rows, ..self }
    }

    /// The orders whose rows are locked.
    pub(super) fn orders(self) -> Range<u32> {
        match self.kind {
            HoldKind::Locked => 1..self.rows + 1,
            HoldKind::Uncommitted => MAX_LOCKED + 1..MAX_LOCKED + self.rows + 1,
        }
    }

    /// Whether other sessions can detect the lock without waiting for it.
    pub(super) fn is_detectable(self) -> bool {
        self.kind == HoldKind::Locked
    }

    pub(super) async fn begin(self, stage: &Stage) -> Result<Holder> {
        let (session, connection) = service_kit::database::connect(&stage.database_url()).await?;
        let connection = tokio::spawn(connection);
        let Range { start, end } = self.orders();
        let hold = match self.kind {
            HoldKind::Locked => format!(
                "SELECT FROM order_summary WHERE order_id >= lpad(to_hex({start}), 32, '0')::uuid \
                 AND order_id < lpad(to_hex({end}), 32, '0')::uuid FOR UPDATE"
            ),
            HoldKind::Uncommitted => format!(
                "INSERT INTO order_summary (order_id, customer_id, total_cents, status, placed_at, item_count, \
                 last_item_sku, version) \
                 SELECT lpad(to_hex(n), 32, '0')::uuid, 'customer', 1, 'placed', now(), 1, 'SKU', 1 \
                 FROM generate_series({start}, {end} - 1) AS n"
            ),
        };
        session.batch_execute(&format!("BEGIN; {hold}")).await?;
        Ok(Holder { session, connection })
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            HoldKind::Locked => write!(f, "locked rows: {}", self.rows),
            HoldKind::Uncommitted => write!(f, "uncommitted rows: {}", self.rows),
        }
    }
}

impl Holder {
    /// Leaves the rows as they were.
    pub(super) async fn end(self) -> Result<()> {
        self.session.batch_execute("ROLLBACK").await?;
        drop(self.session);
        Ok(self.connection.await??)
    }
}
