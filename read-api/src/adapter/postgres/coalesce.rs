//! Coalescing: questions that come while others are being answered are asked together, in one statement, and those that are
//! the same once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use service_kit::tasks::CriticalTasks;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::port::QueryError;

/// The most questions in one statement. More gain little, and each waits for all of them.
const MAX_BATCH: usize = 32;

/// The most questions that wait. What comes then is refused at once rather than answered late.
const QUEUE: usize = 4_096;

/// Why a question was not answered, besides what the database says.
#[derive(Debug, thiserror::Error)]
enum NotAnswered {
    #[error("too many questions wait to be asked")]
    QueueFull,
    #[error("nothing is asked any more")]
    Closed,
    #[error("no answer came in time")]
    NoAnswer,
    #[error("there are fewer answers than questions")]
    Missing,
}

struct Asked<Q, A> {
    question: Q,
    answer: Caller<A>,
}

type Caller<A> = oneshot::Sender<Result<A, QueryError>>;

/// Asks many questions in few statements, one after the other: whatever waits when one is answered goes into the next. There
/// is no timer.
pub(super) struct Coalescer<Q, A> {
    queue: mpsc::Sender<Asked<Q, A>>,
    limit: Duration,
}

impl<Q, A> Coalescer<Q, A>
where
    Q: Clone + Eq + Send + 'static,
    A: Clone + Send + 'static,
{
    /// Asks with `ask`, which answers as many questions as it is given, in their order. Who asks waits `limit` at most.
    pub(super) fn start<F>(tasks: &CriticalTasks, limit: Duration, ask: F) -> Self
    where
        F: Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<A>, QueryError>> + Send + Sync + 'static,
    {
        let (queue, mut asked) = mpsc::channel(QUEUE);
        tasks.spawn("coalescer", async move {
            while let Some(batch) = next_batch(&mut asked).await {
                answer(batch, &ask).await;
            }
        });
        Self { queue, limit }
    }

    /// The answer to `question`.
    pub(super) async fn ask(&self, question: Q) -> Result<A, QueryError> {
        let (answer, answered) = oneshot::channel();
        let not_answered = |reason: NotAnswered| QueryError(Arc::new(reason));
        self.queue.try_send(Asked { question, answer }).map_err(|refused| {
            not_answered(match refused {
                TrySendError::Full(_) => NotAnswered::QueueFull,
                TrySendError::Closed(_) => NotAnswered::Closed,
            })
        })?;
        match tokio::time::timeout(self.limit, answered).await {
            Ok(Ok(result)) => result,
            _ => Err(not_answered(NotAnswered::NoAnswer)),
        }
    }
}

/// Waits for questions; `None` once nobody can ask any more. Requests come to a thread in crowds, of which the first would be
/// asked by itself while the others wait for it: so the thread has turns until one brings no further question. A turn takes
/// microseconds, where a statement takes a hundred of them.
async fn next_batch<T>(asked: &mut mpsc::Receiver<T>) -> Option<Vec<T>> {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    batch.push(asked.recv().await?);
    let mut known = 0;
    while known < batch.len() && batch.len() < MAX_BATCH {
        known = batch.len();
        tokio::task::yield_now().await;
        batch.extend(std::iter::from_fn(|| asked.try_recv().ok()).take(MAX_BATCH - known));
    }
    Some(batch)
}

/// Asks what is still waited for, and tells the answers.
async fn answer<Q, A, F>(batch: Vec<Asked<Q, A>>, ask: &F)
where
    Q: Clone + Eq,
    A: Clone,
    F: Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<A>, QueryError>>,
{
    let mut questions: Vec<Q> = Vec::with_capacity(batch.len());
    let mut callers: Vec<Vec<Caller<A>>> = Vec::with_capacity(batch.len());
    for Asked { question, answer } in batch.into_iter().filter(|asked| !asked.answer.is_closed()) {
        let known = questions.iter().position(|known| *known == question);
        if let Some(others) = known.and_then(|index| callers.get_mut(index)) {
            others.push(answer);
        } else {
            questions.push(question);
            callers.push(vec![answer]);
        }
    }
    if questions.is_empty() {
        return;
    }
    match ask(questions).await {
        Ok(answers) => {
            let missing = || Err(QueryError(Arc::new(NotAnswered::Missing)));
            let answers = answers.into_iter().map(Ok).chain(std::iter::repeat_with(missing));
            callers.into_iter().zip(answers).for_each(|(callers, answer)| tell(callers, answer));
        }
        Err(error) => callers.into_iter().for_each(|callers| tell(callers, Err(error.clone()))),
    }
}

/// All get the same answer, the last one without a copy. Who has gone meanwhile needs none.
fn tell<A: Clone>(mut callers: Vec<Caller<A>>, answer: Result<A, QueryError>) {
    let last = callers.pop();
    for caller in callers {
        let _gone = caller.send(answer.clone());
    }
    if let Some(last) = last {
        let _gone = last.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// What was asked, one list a statement. The answer to n is 2n.
    type Statements = Arc<Mutex<Vec<Vec<u32>>>>;

    fn start() -> (Coalescer<u32, u32>, Statements) {
        let tasks = CriticalTasks::new(CancellationToken::new());
        let statements = Statements::default();
        let recorded = Arc::clone(&statements);
        let coalescer = Coalescer::start(&tasks, Duration::from_secs(5), move |questions: Vec<u32>| {
            recorded.lock().unwrap().push(questions.clone());
            async move {
                tokio::task::yield_now().await;
                Ok(questions.into_iter().map(|question| 2 * question).collect())
            }
            .boxed()
        });
        (coalescer, statements)
    }

    fn sizes(statements: &Statements) -> Vec<usize> {
        statements.lock().unwrap().iter().map(Vec::len).collect()
    }

    #[tokio::test]
    async fn what_is_asked_together_goes_into_one_statement_as_far_as_it_fits() {
        let (coalescer, statements) = start();
        let answers = join_all((0..40).map(|question| coalescer.ask(question))).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (0..40).map(|question| 2 * question).collect::<Vec<_>>(), "each its own");
        assert_eq!(sizes(&statements), [MAX_BATCH, 40 - MAX_BATCH]);
    }

    #[tokio::test]
    async fn what_comes_turn_after_turn_shares_the_statement() {
        let (coalescer, statements) = start();
        let later = async {
            tokio::task::yield_now().await;
            coalescer.ask(2).await
        };
        let (first, second) = tokio::join!(coalescer.ask(1), later);
        assert_eq!((first.unwrap(), second.unwrap()), (2, 4));
        assert_eq!(sizes(&statements), [2]);
    }

    #[tokio::test]
    async fn the_same_question_is_asked_once_and_answered_to_all() {
        let (coalescer, statements) = start();
        let answers = join_all([7, 8, 7, 7].map(|question| coalescer.ask(question))).await;
        assert_eq!(answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [14, 16, 14, 14]);
        assert_eq!(*statements.lock().unwrap(), [[7, 8]]);
    }

    #[tokio::test]
    async fn nothing_is_asked_for_who_has_gone() {
        let (coalescer, statements) = start();
        assert!(coalescer.ask(1).now_or_never().is_none());
        assert_eq!(coalescer.ask(2).await.unwrap(), 4);
        assert_eq!(*statements.lock().unwrap(), [[2]]);
    }
}
