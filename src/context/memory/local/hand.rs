//! A thread that owns what it works on, and the way to it.

use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::context::memory::{MemoryError, MemoryErrorKind};

/// Requests that may wait for a thread; more make their senders wait.
const WAITING: usize = 256;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// The way to a thread. Dropping it ends the thread after the jobs that wait.
pub(super) struct Hand<S> {
    jobs: Option<mpsc::Sender<Job<S>>>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Send + 'static> Hand<S> {
    /// Starts the thread; returns when its state is made.
    pub(super) async fn start(
        name: &str,
        make: impl FnOnce() -> Result<S, MemoryError> + Send + 'static,
    ) -> Result<Self, MemoryError> {
        let (jobs, mut waiting) = mpsc::channel::<Job<S>>(WAITING);
        let (made, ready) = oneshot::channel();
        let work = move || {
            let mut state = match make() {
                Ok(state) => state,
                Err(error) => {
                    let _ = made.send(Err(error));
                    return;
                }
            };
            let _ = made.send(Ok(()));
            while let Some(job) = waiting.blocking_recv() {
                job(&mut state);
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        let thread = thread.map_err(|error| MemoryError {
            kind: MemoryErrorKind::Unavailable,
            message: format!("no thread for the local memory: {error}"),
        })?;
        let hand = Hand { jobs: Some(jobs), thread: Some(thread) };
        ready.await.map_err(|_| ended())??;
        Ok(hand)
    }

    /// Has the thread do something. Who stops waiting before it is begun takes it back.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> Result<T, MemoryError> + Send + 'static,
    ) -> Result<T, MemoryError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<S> = Box::new(move |state| {
            if !answer.is_closed() {
                let _ = answer.send(job(state));
            }
        });
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(job).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

impl<S> Drop for Hand<S> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ended() -> MemoryError {
    MemoryError {
        kind: MemoryErrorKind::Unavailable,
        message: "the thread of the local memory has ended".into(),
    }
}
