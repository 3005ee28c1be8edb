//! Coalescing: questions that come while others are being answered are asked together, in one statement, and those that are
//! the same once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
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

/// Asks many questions in few statements, one after the other: whatever waits when one is answered goes into the next. A lone
/// question goes at once: there is no timer.
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
    pub(super) fn start<F>(limit: Duration, ask: F) -> Self
    where
        F: Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<A>, QueryError>> + Send + Sync + 'static,
    {
        let (queue, mut asked) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
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
        self.queue.try_send(Asked { question, answer }).map_err(|_| not_answered(NotAnswered::QueueFull))?;
        match tokio::time::timeout(self.limit, answered).await {
            Ok(Ok(result)) => result,
            _ => Err(not_answered(NotAnswered::NoAnswer)),
        }
    }
}

/// Waits for questions; `None` once nobody can ask any more. After the first one, all that the thread has at hand comes before
/// the statement: of requests that arrive together, one would otherwise be asked by itself and the others wait for it.
async fn next_batch<T>(asked: &mut mpsc::Receiver<T>) -> Option<Vec<T>> {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    batch.push(asked.recv().await?);
    let mut seen = 0;
    while seen < batch.len() && batch.len() < MAX_BATCH {
        seen = batch.len();
        tokio::task::yield_now().await;
        batch.extend(std::iter::from_fn(|| asked.try_recv().ok()).take(MAX_BATCH - seen));
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
