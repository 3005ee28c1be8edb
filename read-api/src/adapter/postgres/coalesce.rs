//! Coalescing: questions that come while others are being answered are asked together, in one statement.

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
    TooMany,
    #[error("no answer came in time")]
    TooLate,
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

impl<Q: Send + 'static, A: Send + 'static> Coalescer<Q, A> {
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
        self.queue.try_send(Asked { question, answer }).map_err(|_| not_answered(NotAnswered::TooMany))?;
        match tokio::time::timeout(self.limit, answered).await {
            Ok(Ok(result)) => result,
            _ => Err(not_answered(NotAnswered::TooLate)),
        }
    }
}

/// Waits for questions and answers them; `None` once nobody can ask any more.
async fn answer_next<Q, A, F>(asked: &Mutex<mpsc::Receiver<Asked<Q, A>>>, ask: &F) -> Option<()>
where
    F: Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<A>, QueryError>>,
{
    let mut batch = Vec::with_capacity(MAX_BATCH);
    if asked.lock().await.recv_many(&mut batch, MAX_BATCH).await == 0 {
        return None;
    }
    batch.retain(|asked| !asked.answer.is_closed());
    let (questions, callers): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|asked| (asked.question, asked.answer)).unzip();
    if questions.is_empty() {
        return Some(());
    }
    // Who has gone meanwhile needs no answer.
    match ask(questions).await {
        Ok(answers) => {
            for (caller, answer) in callers.into_iter().zip(answers) {
                let _gone = caller.send(Ok(answer));
            }
        }
        Err(error) => {
            for caller in callers {
                let _gone = caller.send(Err(error.clone()));
            }
        }
    }
    Some(())
}
