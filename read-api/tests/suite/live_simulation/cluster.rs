//! A simulated primary and two standbys.

use std::collections::BTreeMap;

use proptest::prelude::*;
use read_api::model::{History, ReadPosition};

/// An order on a server: its version, and the transaction and timeline that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) version: i32,
    pub(super) transaction: i64,
    pub(super) timeline: i64,
}

/// The state of one server.
#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    pub(super) orders: BTreeMap<u8, Stored>,
    open: Vec<i64>,
    next_id: i64,
}

/// A primary, and two standbys that lag by some records. Reads alternate between the three.
#[derive(Debug)]
pub(super) struct Cluster {
    /// The state after each record of the log, the newest last.
    pub(super) log: Vec<Server>,
    pub(super) timeline: i64,
    pub(super) pending: Vec<(i64, u8)>,
    versions: i32,
    /// The number of records that each standby has replayed.
    pub(super) replayed: [usize; 2],
    reads: usize,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let start = Server { next_id: 3, ..Server::default() };
        Self { log: vec![start], timeline: 1, pending: Vec::new(), versions: 0, replayed: [0; 2], reads: 0 }
    }

    pub(super) fn newest(&self) -> Server {
        self.log.last().cloned().unwrap_or_default()
    }

    pub(super) fn apply(&mut self, step: &Step) {
        let mut server = self.newest();
        match step {
            Step::Begin(order) => {
                // Two transactions cannot lock the same row.
                if self.pending.iter().any(|(_, other)| other == order) {
                    return;
                }
                self.pending.push((server.next_id, *order));
                server.open.push(server.next_id);
                server.next_id += 1;
            }
            Step::End { which, commit } => {
                if self.pending.is_empty() {
                    return;
                }
                let (transaction, order) = self.pending.remove(which % self.pending.len());
                server.open.retain(|open| *open != transaction);
                if *commit {
                    self.versions += 1;
                    let stored = Stored { version: self.versions, transaction, timeline: self.timeline };
                    server.orders.insert(order, stored);
                }
            }
            Step::Replay { standby, records } => {
                let replayed = &mut self.replayed[standby % 2];
                *replayed = (*replayed + records).min(self.log.len() - 1);
                return;
            }
            Step::Failover { standby } => {
                // The standby that has replayed more is promoted; otherwise the other one could not follow it.
                let most = self.replayed[standby % 2].max(self.replayed[(standby + 1) % 2]);
                self.log.truncate(most + 1);
                self.timeline += 1;
                self.pending.clear();
                server = self.newest();
                server.open.clear();
            }
        }
        self.log.push(server);
    }

    pub(super) fn read(&mut self) -> (Server, ReadPosition) {
        self.reads += 1;
        let [one, other] = self.replayed;
        let server = self.log[[one, other, self.log.len() - 1][self.reads % 3]].clone();
        let newest = server.orders.values().max_by_key(|stored| stored.transaction);
        let history = History { system: 1, timeline: newest.map_or(0, |stored| stored.timeline) };
        let next = newest.map_or(1, |stored| stored.transaction + 1);
        let open = server.open.iter().map(|open| *open..open + 1).collect();
        (server, ReadPosition::new(history, next, open))
    }
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Begin(u8),
    End { which: usize, commit: bool },
    Replay { standby: usize, records: usize },
    Failover { standby: usize },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6_u8).prop_map(Step::Begin),
        8 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, commit)| Step::End { which, commit }),
        8 => (0..2_usize, 1..8_usize).prop_map(|(standby, records)| Step::Replay { standby, records }),
        1 => (0..2_usize).prop_map(|standby| Step::Failover { standby }),
    ]
}
