//! One transaction that feeds endpoints together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use diesel::QueryResult;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use service_kit::database::Database;
use service_kit::statement;

use super::allot::{Candidate, End, Share, allot};
use super::fed::{self, Fed};
use crate::event_log::{self, LogRead, ReadLimits};
use crate::outbox::low_water_mark::queries::ServerRun;
use crate::subscription::claim::why_lost;
use crate::subscription::store::{self, Locked, Move};
use crate::subscription::{BatchError, Listener, skipped_due};
use crate::traces::{self, Times, TracedEvent};
use crate::webhooks::delivery::{self, Backlogs};
use crate::webhooks::endpoint::Endpoint;

/// An endpoint near the tail of the log.
pub(super) struct Member {
    pub(super) fed: Fed,
    /// Its checkpoint, as it was last seen.
    pub(super) checkpoint: i64,
    /// It wants nothing between its checkpoint and this position.
    pub(super) read: i64,
}

/// What a batch has to do.
pub(super) struct Plan<'a> {
    pub(super) members: &'a BTreeMap<i64, Member>,
    pub(super) backlogs: &'a Backlogs,
    pub(super) limits: ReadLimits,
    /// Looks at all members, and moves all checkpoints.
    pub(super) is_review: bool,
    /// In which run of the server the log was read before.
    pub(super) run: Option<ServerRun>,
}

/// What a batch has done.
#[derive(Default)]
pub(super) struct Done {
    pub(super) events: usize,
    /// The end of what was read.
    pub(super) up_to: i64,
    pub(super) hole: Option<i64>,
    pub(super) is_more: bool,
    /// Where the members stand now that it has locked.
    pub(super) stands: Vec<Stand>,
    /// The members that are to be fed alone.
    pub(super) alone: Vec<i64>,
    /// The events of recorded traces that were given to members.
    pub(super) traced: Vec<TracedEvent>,
    /// The server's run, if anything was read or done. If it is another one than before, nothing was done.
    pub(super) run: Option<ServerRun>,
}

pub(super) struct Stand {
    pub(super) id: i64,
    pub(super) checkpoint: i64,
    pub(super) read: i64,
    pub(super) is_fed: bool,
}

/// A member that the batch has locked.
struct Taken<'a> {
    id: i64,
    endpoint: Arc<Endpoint>,
    locked: &'a Locked,
    after: i64,
    room: i64,
}

/// Runs one batch. Puts the members on which its success depends into `involved`.
pub(super) async fn run(
    database: &Database,
    plan: &Plan<'_>,
    involved: &mut Vec<i64>,
) -> Result<Done, BatchError> {
    let mut session = database.session().await?;
    let each_statement = session.statement_limit();
    let began = SystemTime::now();
    let transaction = session.transaction(async |connection| feed(connection, plan, involved).await);
    let done = each_statement.run(transaction).await.map_err(|_| BatchError::NoAnswer)?;
    match &done {
        Ok(_) => session.give_back(),
        Err(error) => session.give_back_after(error, Duration::ZERO),
    }
    let done = done?;
    let times = Times { began, claimed: began, ended: SystemTime::now() };
    traces::record(&done.traced, done.events, times);
    Ok(done)
}

async fn feed(
    connection: &mut AsyncPgConnection,
    plan: &Plan<'_>,
    involved: &mut Vec<i64>,
) -> QueryResult<Done> {
    let from = plan.members.values().map(|member| member.read).min().unwrap_or_default();
    let read = event_log::read(connection, from, plan.limits).await?;
    let up_to = read.events.last().map_or(from, |event| event.position);
    let mut done =
        Done { events: read.events.len(), up_to, hole: read.hole, is_more: read.is_more, ..Done::default() };
    involved.extend(plan.involved(&read));
    if involved.is_empty() && read.events.is_empty() {
        return Ok(done);
    }
    let run = server_run(connection).await?;
    done.run = Some(run);
    if involved.is_empty() || plan.run.is_some_and(|known| known != run) {
        return Ok(done);
    }
    let names: Vec<_> = involved.iter().filter_map(|id| plan.members.get(id)).map(|m| m.fed.name()).collect();
    let locked = store::lock(connection, &names).await?;
    let mut taken = plan.taken(involved, &locked, &read, from);
    if plan.is_review {
        leave_skipped(connection, &mut taken).await?;
    }
    find_room(connection, plan, &mut taken, &read).await?;
    let (shares, traced) = insert(connection, plan, &taken, &read).await?;
    done.traced = traced;
    move_all(connection, plan, &taken, &shares, read.history, &mut done).await?;
    done.alone.extend(involved.iter().filter(|id| !taken.iter().any(|taken| taken.id == **id)));
    Ok(done)
}

impl Plan<'_> {
    /// The members that want something, or lack events, among which may be some that they want. Or all.
    fn involved(&self, read: &LogRead) -> impl Iterator<Item = i64> {
        let is_involved = |member: &Member| {
            let endpoint = member.fed.endpoint();
            let candidate =
                Candidate { id: endpoint.id, after: member.read, room: 0, kinds: &endpoint.kinds };
            read.has_lost(member.read) || read.events.iter().any(|event| candidate.wants(event))
        };
        let involved = self.members.iter().filter(move |(_, member)| self.is_review || is_involved(member));
        involved.map(|(id, _)| *id).collect::<Vec<_>>().into_iter()
    }

    /// The members that can go on with what was read after `from`.
    fn taken<'a>(&self, involved: &[i64], locked: &'a [Locked], read: &LogRead, from: i64) -> Vec<Taken<'a>> {
        let taken = |id: &i64| {
            let member = self.members.get(id)?;
            let locked = locked.iter().find(|locked| locked.name == member.fed.name())?;
            // Another process, or an operator, may have moved the checkpoint. This process has read that the endpoint
            // wants nothing after `member.checkpoint` up to `member.read`, so it wants nothing in any part of that
            // either: from a checkpoint within it, the events after `member.read` are the next ones. From one in front
            // of it, events may have to be sent again; up to one behind it, somebody else has fed it.
            let is_within = (member.checkpoint..=member.read).contains(&locked.checkpoint);
            let after = if is_within { member.read } else { locked.checkpoint };
            let mut reached = locked.clone();
            reached.checkpoint = after;
            let can_go_on = after >= from && why_lost(&reached, read).is_none();
            can_go_on.then(|| Taken { id: *id, endpoint: member.fed.endpoint(), locked, after, room: 0 })
        };
        involved.iter().filter_map(taken).collect()
    }
}

impl Taken<'_> {
    fn candidate(&self) -> Candidate<'_> {
        Candidate { id: self.id, after: self.after, room: self.room, kinds: &self.endpoint.kinds }
    }
}

/// Leaves out those with events that an operator wants to be tried again: that is done alone.
async fn leave_skipped(connection: &mut AsyncPgConnection, taken: &mut Vec<Taken<'_>>) -> QueryResult<()> {
    let names = taken.iter().map(|taken| taken.locked.name.as_str()).collect();
    let due = skipped_due(connection, names).await?;
    taken.retain(|taken| !due.contains(&taken.locked.name));
    Ok(())
}

/// Counts after the lock, so that nobody else adds any. Leaves out those that want something and are locked or gone.
async fn find_room(
    connection: &mut AsyncPgConnection,
    plan: &Plan<'_>,
    taken: &mut Vec<Taken<'_>>,
    read: &LogRead,
) -> QueryResult<()> {
    let wants = |taken: &Taken<'_>| read.events.iter().any(|event| taken.candidate().wants(event));
    let ids: Vec<_> = taken.iter().filter(|taken| wants(taken)).map(|taken| taken.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let rooms = fed::rooms(connection, ids.clone(), plan.backlogs).await?;
    taken.retain_mut(|taken| {
        let room = rooms.iter().find(|(id, _)| *id == taken.id).map(|(_, room)| *room);
        taken.room = room.unwrap_or_default();
        room.is_some() || !ids.contains(&taken.id)
    });
    Ok(())
}

async fn insert(
    connection: &mut AsyncPgConnection,
    plan: &Plan<'_>,
    taken: &[Taken<'_>],
    read: &LogRead,
) -> QueryResult<(Vec<Share>, Vec<TracedEvent>)> {
    let candidates: Vec<_> = taken.iter().map(Taken::candidate).collect();
    let allotted = allot(&read.events, &candidates, usize::try_from(plan.limits.bytes).unwrap_or(usize::MAX));
    if !allotted.deliveries.is_empty() {
        let rows: Vec<_> =
            allotted.deliveries.iter().map(|(delivery, to)| (*delivery, to.as_slice())).collect();
        delivery::insert(connection, &rows).await?;
    }
    let traced = allotted.traced();
    Ok((allotted.shares, traced))
}

async fn move_all(
    connection: &mut AsyncPgConnection,
    plan: &Plan<'_>,
    taken: &[Taken<'_>],
    shares: &[Share],
    history: i64,
    done: &mut Done,
) -> QueryResult<()> {
    let mut moves = Vec::new();
    for share in shares {
        let Some(taken) = taken.iter().find(|taken| taken.id == share.id) else { continue };
        let is_moved = (share.events > 0 || plan.is_review) && share.up_to > taken.locked.checkpoint;
        if is_moved {
            moves.push(Move { from: taken.locked, to: share.up_to });
        }
        let checkpoint = if is_moved { share.up_to } else { taken.locked.checkpoint };
        done.stands.push(Stand { id: share.id, checkpoint, read: share.up_to, is_fed: share.events > 0 });
        done.is_more |= share.end == End::Bytes;
        if share.end == End::Sharing {
            done.alone.push(share.id);
        }
    }
    store::move_checkpoints(connection, &moves, history).await
}

async fn server_run(connection: &mut AsyncPgConnection) -> QueryResult<ServerRun> {
    let (started, stats_reset) = RunQueryDsl::get_result(ServerRunQuery {}, connection).await?;
    Ok(ServerRun { started, stats_reset })
}

statement! {
    struct ServerRunQuery = "server_run.sql" -> (BigInt, BigInt) {}
}
