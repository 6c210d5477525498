//! A producer, and the thread that takes off its queue what the client tells: delivery reports, errors, lines of its log.
//!
//! The crate has one that takes each report when it comes, which is a thread woken for each request: for a journal of a
//! dozen partitions that cost as much as the requests. Who waits for a single one can mostly wait for two milliseconds more.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _};

use super::producer::Reports;

/// Between two looks at the queue of a producer that has nothing under way: errors of its connections come there, too.
const IDLE: Duration = Duration::from_secs(1);
/// How long a look at once may last, which is how late such a thread learns that it should end.
const LOOK: Duration = Duration::from_millis(100);
/// Reports that are taken in one look, at most.
const TOGETHER: usize = 10_000;

/// When reports are taken off the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taking {
    /// When they come.
    AtOnce,
    /// Those of so much time together.
    Every(Duration),
}

/// See the module. A clone is the same producer; with the last one the thread ends.
#[derive(Clone)]
pub(super) struct Producer(Arc<Inner>);

struct Inner {
    // In this order: the client is let go of when its thread has ended.
    taker: Taker,
    client: Arc<BaseProducer<Reports>>,
}

impl Producer {
    /// Connects nothing yet.
    pub(super) fn new(
        config: &ClientConfig,
        reports: Reports,
        taking: Taking,
    ) -> Result<Self, KafkaError> {
        let client: Arc<BaseProducer<Reports>> = Arc::new(config.create_with_context(reports)?);
        let taker = Taker::start(client.clone(), taking)?;
        Ok(Producer(Arc::new(Inner { taker, client })))
    }

    /// Records are on their way.
    pub(super) fn handed_over(&self) {
        self.0.taker.wake();
    }
}

impl Deref for Producer {
    type Target = BaseProducer<Reports>;

    fn deref(&self) -> &Self::Target {
        &self.0.client
    }
}

/// The thread's handle.
struct Taker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    /// Whether it rests until it is woken.
    rests: AtomicBool,
}

impl Taker {
    fn start(client: Arc<BaseProducer<Reports>>, taking: Taking) -> Result<Self, KafkaError> {
        let shared = Arc::new(Shared::default());
        let body = {
            let shared = shared.clone();
            move || match taking {
                Taking::AtOnce => shared.take_at_once(&client),
                Taking::Every(pause) => shared.take_together(&client, pause),
            }
        };
        let thread = thread::Builder::new().name("kafka-reports".to_owned()).spawn(body);
        let thread = thread.map_err(|error| {
            KafkaError::ClientCreation(format!("a thread for its reports: {error}"))
        })?;
        Ok(Taker { shared, thread: Some(thread) })
    }

    fn wake(&self) {
        if self.shared.rests.swap(false, Ordering::SeqCst) {
            self.thread.as_ref().map(JoinHandle::thread).map(Thread::unpark);
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It panics only where a report's taker does, and says so then.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn has_ended(&self) -> bool {
        self.ends.load(Ordering::SeqCst)
    }

    fn take_at_once(&self, client: &BaseProducer<Reports>) {
        while !self.has_ended() {
            client.poll(LOOK);
        }
    }

    fn take_together(&self, client: &BaseProducer<Reports>, pause: Duration) {
        while !self.has_ended() {
            take(client);
            // Whoever hands a record over from here on wakes it.
            self.rests.store(true, Ordering::SeqCst);
            if client.in_flight_count() == 0 {
                thread::park_timeout(IDLE);
            }
            self.rests.store(false, Ordering::SeqCst);
            thread::park_timeout(pause);
        }
    }
}

/// All that is on the queue. Lines of the client's log come before reports there: each look must go past them.
fn take(client: &BaseProducer<Reports>) {
    for _ in 0..TOGETHER {
        let before = client.context().taken();
        client.poll(Duration::ZERO);
        if client.context().taken() == before {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
