//! Micro-batches: questions of many events go to the store in one request. A question that finds nobody waiting goes at
//! once; while requests are on their way, questions gather for at most [`WINDOW`], or until [`TOGETHER`] of them are there.
//! So a quiet engine pays nothing for it, and a busy one asks a tenth as often.
//!
//! Everything but questions passes straight through.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{Collection, Forget, Memory, MemoryError, MemoryErrorKind, Passage, Point, Query};

/// The longest that a question waits for company.
pub const WINDOW: Duration = Duration::from_millis(2);
/// Questions of one request.
pub const TOGETHER: usize = 32;
/// Requests on their way at the same time.
const ON_THEIR_WAY: usize = 8;
/// Questions that may wait to be gathered; more make their askers wait.
const WAITING: usize = 1_024;

type Answer = Result<Vec<Vec<Passage>>, MemoryError>;

/// What one asker asked together.
struct Asked {
    collection: Arc<Collection>,
    queries: Vec<Query>,
    answer: oneshot::Sender<Answer>,
}

/// A store whose questions are gathered.
pub struct Batched {
    inner: Arc<dyn Memory>,
    asked: mpsc::Sender<Asked>,
    gatherer: JoinHandle<()>,
}

impl Batched {
    /// Wraps a store. Must be called inside a runtime; questions may come from any.
    pub fn new(inner: Arc<dyn Memory>) -> Self {
        let (asked, waiting) = mpsc::channel(WAITING);
        let gatherer = tokio::spawn(gather(Arc::clone(&inner), waiting));
        Batched { inner, asked, gatherer }
    }
}

impl Drop for Batched {
    fn drop(&mut self) {
        self.gatherer.abort();
    }
}

#[async_trait]
impl Memory for Batched {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn ensure(&self, collection: &Collection) -> Result<(), MemoryError> {
        self.inner.ensure(collection).await
    }

    async fn query(&self, collection: &Collection, queries: Vec<Query>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { collection: Arc::new(collection.clone()), queries, answer };
        self.asked.send(asked).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    async fn remember(
        &self,
        collection: &Collection,
        points: Vec<Point>,
    ) -> Result<(), MemoryError> {
        self.inner.remember(collection, points).await
    }

    async fn forget(
        &self,
        collection: &Collection,
        tenant: &str,
        what: Forget,
    ) -> Result<(), MemoryError> {
        self.inner.forget(collection, tenant, what).await
    }

    async fn count(&self, collection: &Collection) -> Result<u64, MemoryError> {
        self.inner.count(collection).await
    }
}

fn ended() -> MemoryError {
    MemoryError { kind: MemoryErrorKind::Unavailable, message: "the memory is being closed".into() }
}

type OnItsWay = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn gather(inner: Arc<dyn Memory>, mut waiting: mpsc::Receiver<Asked>) {
    let mut on_their_way = FuturesUnordered::<OnItsWay>::new();
    loop {
        let first = tokio::select! {
            Some(()) = on_their_way.next() => continue,
            first = waiting.recv(), if on_their_way.len() < ON_THEIR_WAY => first,
        };
        let Some(first) = first else { return };
        let mut gathered = vec![first];
        let closes = Instant::now() + WINDOW;
        while gathered.iter().map(|asked| asked.queries.len()).sum::<usize>() < TOGETHER {
            match waiting.try_recv() {
                Ok(next) => gathered.push(next),
                Err(_) if on_their_way.is_empty() => break,
                Err(_) => {
                    // What is on its way must go on meanwhile, or nobody would notice that it came.
                    let next = async {
                        tokio::select! {
                            next = waiting.recv() => next,
                            () = on_their_way.by_ref().for_each(|()| async {}) => None,
                        }
                    };
                    match timeout_at(closes, next).await {
                        Ok(Some(next)) => gathered.push(next),
                        Ok(None) | Err(_) => break,
                    }
                }
            }
        }
        for together in by_collection(gathered) {
            on_their_way.push(Box::pin(send(Arc::clone(&inner), together)));
        }
    }
}

/// Who stopped waiting is left out.
fn by_collection(gathered: Vec<Asked>) -> Vec<Vec<Asked>> {
    let mut groups: Vec<Vec<Asked>> = Vec::new();
    for asked in gathered.into_iter().filter(|asked| !asked.answer.is_closed()) {
        let same = groups
            .iter_mut()
            .find(|group| group.first().is_some_and(|other| other.collection == asked.collection));
        match same {
            Some(group) => group.push(asked),
            None => groups.push(vec![asked]),
        }
    }
    groups
}

async fn send(inner: Arc<dyn Memory>, together: Vec<Asked>) {
    let Some(collection) = together.first().map(|asked| Arc::clone(&asked.collection)) else {
        return;
    };
    let all = together.iter().flat_map(|asked| asked.queries.iter().cloned()).collect();
    match inner.query(&collection, all).await {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            for asked in together {
                let own = answers.by_ref().take(asked.queries.len()).collect();
                let _ = asked.answer.send(Ok(own));
            }
        }
        // One bad question must not spoil the others.
        Err(error) if error.kind == MemoryErrorKind::Invalid && together.len() > 1 => {
            for asked in together {
                let _ = asked.answer.send(inner.query(&collection, asked.queries).await);
            }
        }
        Err(error) => {
            for asked in together {
                let _ = asked.answer.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
