//! Where claims begin: behind the ids that are settled and gone.
//!
//! A claim that always began at the lowest id would walk over every event that was ever deleted and not yet vacuumed, and
//! a long transaction anywhere keeps vacuum from doing that. So claims begin at a remembered id. It must not be the
//! newest id that was claimed: ids are drawn before they are committed, and an event that is committed late may have a low
//! one. It moves only past ids whose transactions have all ended, and of which no event is left:
//!
//! 1. Read how far ids have been drawn, **then** have a transaction id assigned, the mark. Writers get their transaction id
//!    before they draw an id for an event (write-api writes the order first), so that whoever has drawn an id up to there
//!    has a transaction id lower than the mark.
//! 2. Once no transaction below the mark is running (`pg_snapshot_xmin` has reached it), everything with an id up to there
//!    is committed or never will be. If the same snapshot sees no event up to there, claims may begin behind it, else at
//!    the first event that it sees. A claim of another worker that is not committed yet still shows its events.
//!
//! `pg_snapshot_xmax` would be no mark: it is one past the newest transaction that has *ended*, and running ones can be
//! above it.
//!
//! A long transaction that only reads does not hold this up. One that writes, or locks rows, holds up the mark, whatever it writes. As
//! soon as that happens, a mark also gets the transactions that write to the outbox, read after the ids: whoever has drawn an id
//! has locked the outbox, until the transaction has ended. When they have ended, a look that begins after that sees what they
//! wrote. So only a long transaction that itself writes events holds this up; claims then walk over what was deleted since it
//! began.
//!
//! All of it holds within one run of the server. A crash takes back ids, of events and of transactions, that were not on disk
//! yet, and they are given out again; so does a switch to a standby that lagged behind. Every answer names the run that it is
//! about, and the first one of another run makes claims begin at the lowest id again: late by one survey.
//!
//! Each look is limited to a range of ids, so that it takes a moment even where millions of dead rows lie: what is left is
//! for the next.

#[cfg(test)]
mod model;
mod progress;
pub mod queries;

use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError};

use self::progress::{Known, LONG_AGO};
use self::queries::{Drawn, Look};

/// The frontier is surveyed after this many drained events, or after this long.
const SURVEY_EVERY_EVENTS: usize = 1_000;
const SURVEY_EVERY: Duration = Duration::from_millis(100);
/// Most ids that one look may walk over: some milliseconds where all of them are dead.
const RANGE: i64 = 50_000;
/// A survey takes no further look after this long. Where vacuum has been, a look takes a tenth of a millisecond. After a
/// failure it may take its time: a claim that has to walk over too many dead rows fails until the start has moved.
const SURVEY_LIMIT: Duration = Duration::from_millis(10);
const SURVEY_LIMIT_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// The ids before the start are looked through this often. It is for what the reasoning above does not cover: an event
/// inserted by hand, whose id may be drawn before its transaction has one.
const REVIEW_EVERY: Duration = Duration::from_mins(1);

/// The lowest id at which an event can be. All workers of a process share it.
pub(crate) struct Frontier {
    start: AtomicI64,
    /// Locked by the one worker that surveys.
    survey: tokio::sync::Mutex<Survey>,
}

struct Survey {
    known: Known,
    /// What is left to be looked through of the ids before the start, and when to begin again.
    review: Range<i64>,
    next_review: Instant,
    last: Instant,
    events: usize,
}

impl Frontier {
    /// Nothing is known yet: claims begin at the lowest id.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let next_review = now + REVIEW_EVERY;
        let survey = Survey { known: Known::default(), review: 0..0, next_review, last: now, events: 0 };
        Self { start: AtomicI64::new(0), survey: tokio::sync::Mutex::new(survey) }
    }

    /// The lowest id at which an event can be, as far as is known.
    pub(crate) fn start(&self) -> i64 {
        self.start.load(Ordering::Relaxed)
    }

    /// Moves on if that may be worth it now that `drained` more events are gone.
    ///
    /// # Errors
    ///
    /// The database's; nothing wrong is remembered then.
    pub(crate) async fn survey(&self, database: &Database, drained: usize) -> Result<(), DatabaseError> {
        // Whoever has it is moving the start for all.
        let Ok(mut survey) = self.survey.try_lock() else { return Ok(()) };
        survey.events += drained;
        if survey.events < SURVEY_EVERY_EVENTS && survey.last.elapsed() < SURVEY_EVERY {
            return Ok(());
        }
        self.walk(database, &mut survey, SURVEY_LIMIT).await
    }

    /// Moves on as far as is possible, because a batch has failed.
    ///
    /// # Errors
    ///
    /// The database's; nothing wrong is remembered then.
    pub(crate) async fn survey_after_failure(&self, database: &Database) -> Result<(), DatabaseError> {
        let Ok(mut survey) = self.survey.try_lock() else { return Ok(()) };
        self.walk(database, &mut survey, SURVEY_LIMIT_AFTER_FAILURE).await
    }

    async fn walk(
        &self,
        database: &Database,
        survey: &mut Survey,
        limit: Duration,
    ) -> Result<(), DatabaseError> {
        let begun = Instant::now();
        survey.events = 0;
        survey.last = begun;
        while self.advance(database, survey).await? {
            if begun.elapsed() > limit {
                return Ok(());
            }
        }
        if survey.known.needs_a_mark() {
            self.make_mark(database, survey).await?;
        }
        while self.review(database, survey).await? && begun.elapsed() < limit {}
        Ok(())
    }

    /// Takes one look from the start on. Returns whether there is more to see up to the pending mark.
    async fn advance(&self, database: &Database, survey: &mut Survey) -> Result<bool, DatabaseError> {
        let Some((range, mark)) = survey.known.next_look() else { return Ok(false) };
        let seen = look(database, range.clone(), mark).await?;
        let is_more = survey.known.looked(&range, seen);
        self.publish(survey);
        Ok(is_more || self.ask_who_is_writing(database, survey).await?)
    }

    async fn make_mark(&self, database: &Database, survey: &mut Survey) -> Result<(), DatabaseError> {
        let start = survey.known.start();
        let drawn: Drawn = database.run(move |connection| queries::drawn(connection, start).boxed()).await?;
        survey.known.drew(drawn);
        self.publish(survey);
        self.ask_who_is_writing(database, survey).await.map(drop)
    }

    /// Returns whether those for whom the pending mark waits have ended.
    async fn ask_who_is_writing(
        &self,
        database: &Database,
        survey: &mut Survey,
    ) -> Result<bool, DatabaseError> {
        if !survey.known.asks_who_is_writing() {
            return Ok(false);
        }
        let writing = database.run(|connection| queries::writing(connection).boxed()).await?;
        let have_ended = survey.known.are_writing(writing);
        self.publish(survey);
        Ok(have_ended)
    }

    /// Takes one look at the ids before the start. Returns whether there are more to look at.
    async fn review(&self, database: &Database, survey: &mut Survey) -> Result<bool, DatabaseError> {
        let start = self.start();
        if survey.review.is_empty() && Instant::now() >= survey.next_review {
            survey.next_review = Instant::now() + REVIEW_EVERY;
            survey.review = 0..start;
        }
        if survey.review.is_empty() {
            return Ok(false);
        }
        let end = survey.review.end.min(survey.review.start.saturating_add(RANGE));
        let seen = look(database, survey.review.start..end, LONG_AGO).await?;
        survey.review.start = end;
        survey.known.reviewed(seen);
        self.publish(survey);
        Ok(!survey.review.is_empty())
    }

    /// Lets the claims know.
    fn publish(&self, survey: &Survey) {
        self.start.store(survey.known.start(), Ordering::Relaxed);
    }
}

async fn look(database: &Database, range: Range<i64>, mark: i64) -> Result<Look, DatabaseError> {
    database.run(move |connection| queries::look(connection, range, mark).boxed()).await
}

#[cfg(test)]
mod tests {
    use anyhow::Result;
    use service_kit::database::DatabaseConfig;
    use testkit::test_database::TestDatabase;

    use super::queries::ServerRun;
    use super::*;
    use crate::database as postgres;

    async fn scene() -> Result<(TestDatabase, Database, Frontier)> {
        let own = TestDatabase::create().await?;
        let vars = vec![("DATABASE_URL".to_owned(), own.url("orders_projector"))];
        let database = postgres::open(&DatabaseConfig::from_vars(&vars)?, "test")?;
        Ok((own, database, Frontier::new()))
    }

    /// Surveys until claims begin at `expected`, or the deadline has passed. Transactions of other tests on the same server
    /// hold it up for a moment.
    async fn survey_until(frontier: &Frontier, database: &Database, expected: i64) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while frontier.start() != expected {
            frontier.survey_after_failure(database).await?;
            anyhow::ensure!(
                Instant::now() < deadline,
                "claims begin at {}, not {expected}",
                frontier.start()
            );
        }
        Ok(())
    }

    #[tokio::test]
    async fn it_moves_over_many_ids_in_several_looks_and_stops_at_the_first_event() -> Result<()> {
        let (own, database, frontier) = scene().await?;
        let session = own.connect().await?;
        session.batch_execute("SELECT setval('outbox_id_seq', 1000000)").await?;
        session.batch_execute("INSERT INTO outbox (kind, payload) VALUES ('kind', '{}')").await?;
        survey_until(&frontier, &database, 1_000_001).await?;
        session.batch_execute("DELETE FROM outbox").await?;
        survey_until(&frontier, &database, 1_000_002).await
    }

    #[tokio::test]
    async fn a_long_transaction_that_writes_no_event_does_not_hold_it_up() -> Result<()> {
        let (own, database, frontier) = scene().await?;
        let (session, mut other) = (own.connect().await?, own.connect().await?);
        let long = other.transaction().await?;
        long.batch_execute("SELECT pg_current_xact_id()").await?;
        for newest in [7, 9, 1_000_000] {
            session.execute("SELECT setval('outbox_id_seq', $1)", &[&newest]).await?;
            survey_until(&frontier, &database, newest + 1).await?;
        }
        Ok(long.commit().await?)
    }

    #[tokio::test]
    async fn a_long_transaction_that_has_drawn_an_id_holds_it_up() -> Result<()> {
        let (own, database, frontier) = scene().await?;
        let (session, mut other) = (own.connect().await?, own.connect().await?);
        for draw in [
            "INSERT INTO outbox (kind, payload) VALUES ('kind', '{}') RETURNING id",
            "SELECT nextval('outbox_id_seq') AS id",
        ] {
            let long = other.transaction().await?;
            let id: i64 = long.query_one(draw, &[]).await?.get("id");
            session.execute("SELECT setval('outbox_id_seq', $1)", &[&(id + 100)]).await?;
            for _ in 0..10 {
                frontier.survey_after_failure(&database).await?;
                assert!(frontier.start() <= id, "{draw}: it begins at {}, behind {id}", frontier.start());
            }
            let insert = "INSERT INTO outbox (id, kind, payload) OVERRIDING SYSTEM VALUE
                          VALUES ($1, 'kind', '{}') ON CONFLICT DO NOTHING";
            long.execute(insert, &[&id]).await?;
            long.commit().await?;
            survey_until(&frontier, &database, id).await?;
            session.batch_execute("DELETE FROM outbox").await?;
            survey_until(&frontier, &database, id + 101).await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_review_finds_an_event_before_the_start_and_brings_it_back() -> Result<()> {
        let (own, database, frontier) = scene().await?;
        let session = own.connect().await?;
        session.batch_execute("SELECT setval('outbox_id_seq', 200000)").await?;
        survey_until(&frontier, &database, 200_001).await?;
        let missed =
            "INSERT INTO outbox (id, kind, payload) OVERRIDING SYSTEM VALUE VALUES (170000, 'kind', '{}')";
        session.batch_execute(missed).await?;

        frontier.survey_after_failure(&database).await?;
        assert_eq!(frontier.start(), 200_001, "a review is not due");
        frontier.survey.lock().await.next_review = Instant::now();
        survey_until(&frontier, &database, 170_000).await
    }

    #[tokio::test]
    async fn ids_that_went_back_and_another_server_make_claims_begin_anew() -> Result<()> {
        let (own, database, frontier) = scene().await?;
        let session = own.connect().await?;
        session.batch_execute("SELECT setval('outbox_id_seq', 500)").await?;
        survey_until(&frontier, &database, 501).await?;
        session.batch_execute("SELECT setval('outbox_id_seq', 20)").await?;
        survey_until(&frontier, &database, 0).await?;

        survey_until(&frontier, &database, 21).await?;
        let other = ServerRun { started: 1, counting_since: 1 };
        let drawn = Drawn { newest: 20, mark: None, run: other };
        frontier.survey.lock().await.known.drew(drawn);
        survey_until(&frontier, &database, 0).await
    }
}
