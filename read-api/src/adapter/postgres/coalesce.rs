//! Coalescing: questions that come while others are being answered are asked together, in one statement, and those that are
//! the same once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};

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

/// Asks many questions in few statements. Each of its lanes has one statement under way; whatever waits when a lane becomes
/// free goes into its next one. A lone question goes at once: there is no timer.
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
    pub(super) fn start<F>(lanes: usize, limit: Duration, ask: F) -> Self
    where
        F: Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<A>, QueryError>> + Send + Sync + 'static,
    {
        let (queue, asked) = mpsc::channel(QUEUE);
        let (asked, ask) = (Arc::new(Mutex::new(asked)), Arc::new(ask));
        for _ in 0..lanes {
            let (asked, ask) = (Arc::clone(&asked), Arc::clone(&ask));
            tokio::spawn(async move { while answer_next(&asked, &*ask).await.is_some() {} });
        }
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

/// Waits for questions and answers them; `None` once nobody can ask any more.
async fn answer_next<Q, A, F>(asked: &Mutex<mpsc::Receiver<Asked<Q, A>>>, ask: &F) -> Option<()>
where
    Q: Clone + Eq,
    A: Clone,
    F: Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<A>, QueryError>>,
{
    let mut batch = Vec::with_capacity(MAX_BATCH);
    if asked.lock().await.recv_many(&mut batch, MAX_BATCH).await == 0 {
        return None;
    }
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
        return Some(());
    }
    match ask(questions).await {
        Ok(answers) => {
            let missing = || Err(QueryError(Arc::new(NotAnswered::Missing)));
            let answers = answers.into_iter().map(Ok).chain(std::iter::repeat_with(missing));
            callers.into_iter().zip(answers).for_each(|(callers, answer)| tell(callers, answer));
        }
        Err(error) => callers.into_iter().for_each(|callers| tell(callers, Err(error.clone()))),
    }
    Some(())
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
