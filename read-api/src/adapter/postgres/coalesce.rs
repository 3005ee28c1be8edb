//! Coalescing: queries that arrive while a statement runs share the next statement, and equal queries run once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use service_kit::tasks::CriticalTasks;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::port::QueryError;

/// The maximum number of queries in one statement. Each query waits for the whole statement, so more would gain little.
const MAX_BATCH: usize = 32;

/// The maximum number of queued queries. Further ones fail at once.
const MAX_QUEUED: usize = 4_096;

/// The reasons why a query has no result, apart from errors of the database.
#[derive(Debug, thiserror::Error)]
enum CoalesceError {
    #[error("too many queries are queued")]
    QueueFull,
    #[error("the coalescer has stopped")]
    Stopped,
    #[error("no result came in time")]
    TimedOut,
    #[error("the statement returned fewer results than it had queries")]
    MissingResult,
}

struct Queued<Q, R> {
    query: Q,
    reply: Reply<R>,
}

type Reply<R> = oneshot::Sender<Result<R, QueryError>>;

/// Runs many queries in few statements, one statement at a time: all queries that are queued when one ends go into
/// the next. It needs no timer.
pub(super) struct Coalescer<Q, R> {
    queue: mpsc::Sender<Queued<Q, R>>,
    limit: Duration,
}

impl<Q, R> Coalescer<Q, R>
where
    Q: Clone + Eq + Send + 'static,
    R: Clone + Send + 'static,
{
    /// `execute` gets the queries of one statement and returns their results in the same order. A caller waits up to
    /// `limit`.
    pub(super) fn start<F>(tasks: &CriticalTasks, limit: Duration, execute: F) -> Self
    where
        F: Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<R>, QueryError>> + Send + Sync + 'static,
    {
        let (queue, mut queued) = mpsc::channel(MAX_QUEUED);
        tasks.spawn("coalescer", async move {
            while let Some(batch) = next_batch(&mut queued).await {
                run(batch, &execute).await;
            }
        });
        Self { queue, limit }
    }

    /// The result of `query`.
    pub(super) async fn query(&self, query: Q) -> Result<R, QueryError> {
        let (reply, result) = oneshot::channel();
        let failed = |error: CoalesceError| QueryError(Arc::new(error));
        self.queue.try_send(Queued { query, reply }).map_err(|refused| {
            failed(match refused {
                TrySendError::Full(_) => CoalesceError::QueueFull,
                TrySendError::Closed(_) => CoalesceError::Stopped,
            })
        })?;
        match tokio::time::timeout(self.limit, result).await {
            Ok(Ok(result)) => result,
            _ => Err(failed(CoalesceError::TimedOut)),
        }
    }
}

/// Waits for queries; `None` once no more can come. Requests reach a thread in bursts. Without a yield, the first
/// query of a burst would run alone while the others wait for it. So yield to the thread's other tasks until one
/// yield brings no further query: a yield costs far less than a statement.
async fn next_batch<T>(queued: &mut mpsc::Receiver<T>) -> Option<Vec<T>> {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    batch.push(queued.recv().await?);
    let mut len_before = 0;
    while len_before < batch.len() && batch.len() < MAX_BATCH {
        len_before = batch.len();
        tokio::task::yield_now().await;
        batch.extend(std::iter::from_fn(|| queued.try_recv().ok()).take(MAX_BATCH - len_before));
    }
    Some(batch)
}

/// Runs the queries whose callers still wait, and sends the results.
async fn run<Q, R, F>(batch: Vec<Queued<Q, R>>, execute: &F)
where
    Q: Clone + Eq,
    R: Clone,
    F: Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<R>, QueryError>>,
{
    let mut queries: Vec<Q> = Vec::with_capacity(batch.len());
    let mut replies: Vec<Vec<Reply<R>>> = Vec::with_capacity(batch.len());
    for Queued { query, reply } in batch.into_iter().filter(|queued| !queued.reply.is_closed()) {
        let same = queries.iter().position(|known| *known == query);
        if let Some(others) = same.and_then(|index| replies.get_mut(index)) {
            others.push(reply);
        } else {
            queries.push(query);
            replies.push(vec![reply]);
        }
    }
    if queries.is_empty() {
        return;
    }
    match execute(queries).await {
        Ok(results) => {
            let missing = || Err(QueryError(Arc::new(CoalesceError::MissingResult)));
            let results = results.into_iter().map(Ok).chain(std::iter::repeat_with(missing));
            replies.into_iter().zip(results).for_each(|(replies, result)| send_to_all(replies, result));
        }
        Err(error) => replies.into_iter().for_each(|replies| send_to_all(replies, Err(error.clone()))),
    }
}

/// Sends the same result to all callers; the last one gets it without a copy.
fn send_to_all<R: Clone>(mut replies: Vec<Reply<R>>, result: Result<R, QueryError>) {
    let last = replies.pop();
    for reply in replies {
        let _closed = reply.send(result.clone());
    }
    if let Some(last) = last {
        let _closed = last.send(result);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// The queries of each statement. The result of n is 2n.
    type Statements = Arc<Mutex<Vec<Vec<u32>>>>;

    fn start() -> (Coalescer<u32, u32>, Statements) {
        let tasks = CriticalTasks::new(CancellationToken::new());
        let statements = Statements::default();
        let recorded = Arc::clone(&statements);
        let coalescer = Coalescer::start(&tasks, Duration::from_secs(5), move |queries: Vec<u32>| {
            recorded.lock().unwrap().push(queries.clone());
            async move {
                tokio::task::yield_now().await;
                Ok(queries.into_iter().map(|query| 2 * query).collect())
            }
            .boxed()
        });
        (coalescer, statements)
    }

    fn sizes(statements: &Statements) -> Vec<usize> {
        statements.lock().unwrap().iter().map(Vec::len).collect()
    }

    #[tokio::test]
    async fn simultaneous_queries_share_a_statement_up_to_the_maximum() {
        let (coalescer, statements) = start();
        let results = join_all((0..40).map(|query| coalescer.query(query))).await;
        let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, (0..40).map(|query| 2 * query).collect::<Vec<_>>(), "each its own");
        assert_eq!(sizes(&statements), [MAX_BATCH, 40 - MAX_BATCH]);
    }

    #[tokio::test]
    async fn a_query_that_arrives_one_yield_later_shares_the_statement() {
        let (coalescer, statements) = start();
        let later = async {
            tokio::task::yield_now().await;
            coalescer.query(2).await
        };
        let (first, second) = tokio::join!(coalescer.query(1), later);
        assert_eq!((first.unwrap(), second.unwrap()), (2, 4));
        assert_eq!(sizes(&statements), [2]);
    }

    #[tokio::test]
    async fn equal_queries_run_once_and_all_get_the_result() {
        let (coalescer, statements) = start();
        let results = join_all([7, 8, 7, 7].map(|query| coalescer.query(query))).await;
        assert_eq!(results.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [14, 16, 14, 14]);
        assert_eq!(*statements.lock().unwrap(), [[7, 8]]);
    }

    #[tokio::test]
    async fn a_query_whose_caller_has_gone_does_not_run() {
        let (coalescer, statements) = start();
        assert!(coalescer.query(1).now_or_never().is_none());
        assert_eq!(coalescer.query(2).await.unwrap(), 4);
        assert_eq!(*statements.lock().unwrap(), [[2]]);
    }
}
