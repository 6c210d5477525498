//! An open loop: events are due at fixed moments, and are sent then whether earlier ones were answered or not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};
use vivremotion::base::clock::{Clock, SystemClock};

use crate::job::Job;

/// Events that are sent together, at most: a timer is no finer.
const TICK: Duration = Duration::from_millis(2);

/// The events on their way.
pub struct Load {
    due: Due,
    sending: JoinHandle<()>,
}

/// When events are due.
#[derive(Clone, Copy)]
struct Due {
    start: Instant,
    first: usize,
    rate: f64,
}

impl Due {
    fn at(&self, n: usize) -> Instant {
        self.start + Duration::from_secs_f64((n - self.first) as f64 / self.rate)
    }
}

impl Load {
    /// Begins to send that many, so many a second.
    pub fn start(job: &Job, first: usize, rate: f64, events: usize) -> Load {
        let (log, source, end) = (Arc::clone(&job.log), job.events.clone(), first + events);
        let due = Due { start: Instant::now() + Duration::from_millis(10), first, rate };
        let sending = tokio::spawn(async move {
            let (mut sent, mut n) = (JoinSet::new(), first);
            while n < end {
                tokio::time::sleep_until(due.at(n).into()).await;
                let now = Instant::now() + TICK;
                let together = (n..end).take_while(|n| due.at(*n) < now).count().max(1);
                let outputs = source.outputs(n..n + together, Some(SystemClock.now())).await;
                n += together;
                let log = log.clone();
                // One that takes long holds the next one up no more than another producer would.
                sent.spawn(async move { log.send(outputs).await.unwrap() });
                while let Some(outcome) = sent.try_join_next() {
                    outcome.unwrap();
                }
            }
            sent.join_all().await;
        });
        Load { due, sending }
    }

    /// When an event is due.
    pub fn due(&self, n: usize) -> Instant {
        self.due.at(n)
    }

    /// All were sent.
    pub async fn end(self) {
        self.sending.await.unwrap();
    }
}
