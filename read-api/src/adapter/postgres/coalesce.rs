//! Coalescing: questions that come while others are being answered are asked together, in one statement, and those that are
//! the same once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::port::QueryError;

/// The most questions in one statement. More gain little, and each waits for all of them.
const MAX_BATCH: usize = 16;

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
    answer: oneshot::Sender<Result<A, QueryError>>,
}

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
    let mut callers = Vec::with_capacity(batch.len());
    for Asked { question, answer } in batch.into_iter().filter(|asked| !asked.answer.is_closed()) {
        let known = questions.iter().position(|known| *known == question);
        callers.push((known.unwrap_or(questions.len()), answer));
        if known.is_none() {
            questions.push(question);
        }
    }
    if questions.is_empty() {
        return Some(());
    }
    let answers = ask(questions).await;
    for (index, caller) in callers {
        let answer = match &answers {
            Ok(answers) => {
                answers.get(index).cloned().ok_or_else(|| QueryError(Arc::new(NotAnswered::Missing)))
            }
            Err(error) => Err(error.clone()),
        };
        // Who has gone meanwhile needs no answer.
        let _gone = caller.send(answer);
    }
    Some(())
}
