//! What was charged without a known outcome, and cost something else after all. A process that lost a partition may still
//! get the answers it has asked for, and writes them down; who runs their events by then has charged the ceiling. A while
//! after that was committed the journal is read again, once, and what has come is told as adjustments: their amounts are
//! the differences, so that the sum of all cost events is right.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Line;
use super::emit::{Emitted, adjustment};
use super::run::Completed;
use crate::event::cost::Attempt;
use crate::event::ids::AttemptId;
use crate::journal::restore::outcomes;
use crate::journal::{Binding, Writer};
use crate::stream::Output;

/// From the first such charge to the look for all that came meanwhile.
const AFTER: Duration = Duration::from_secs(60);
/// Charges that wait to be settled; more stay at their ceiling.
const MOST: usize = 10_000;

/// Looks for outcomes. Dropped, it stops: what is not settled then stays at its ceiling.
pub(super) struct Settler {
    unsettled: mpsc::Sender<Unsettled>,
    task: JoinHandle<()>,
}

/// A charge at the ceiling.
struct Unsettled {
    line: Arc<Line>,
    completed: Arc<Completed>,
    journal: Binding,
    charged: Attempt,
}

impl Settler {
    /// Starts the task.
    pub(super) fn start() -> Self {
        let (unsettled, waiting) = mpsc::channel(MOST);
        Settler { unsettled, task: tokio::spawn(settle(waiting)) }
    }

    /// It was committed. Hardly any has an unsettled charge: only for those its pipeline is looked up.
    pub(super) fn committed(&self, lines: &HashMap<Arc<str>, Arc<Line>>, event: &Emitted) {
        let (Some(completed), Some(journal)) = (&event.completed, &event.consumed.journal) else {
            return;
        };
        for charged in completed.attempts.iter().filter(|it| it.price_status == "unsettled") {
            let Some(line) = lines.get(&event.at.topic) else { return };
            let one = Unsettled {
                line: Arc::clone(line),
                completed: Arc::clone(completed),
                journal: journal.clone(),
                charged: charged.clone(),
            };
            // Where too many wait, it stays at its ceiling.
            drop(self.unsettled.try_send(one));
        }
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn settle(mut waiting: mpsc::Receiver<Unsettled>) {
    while let Some(first) = waiting.recv().await {
        sleep(AFTER).await;
        let mut open = vec![first];
        while let Ok(more) = waiting.try_recv() {
            open.push(more);
        }
        let mut partitions = BTreeMap::<i32, Vec<Unsettled>>::new();
        for one in open {
            partitions.entry(one.journal.place.partition).or_default().push(one);
        }
        for (partition, open) in partitions {
            settle_partition(partition, open).await;
        }
    }
}

async fn settle_partition(partition: i32, open: Vec<Unsettled>) {
    let Some(low) = open.iter().map(|one| one.journal.from).min() else { return };
    let Some(writer) = open.first().map(|one| Arc::clone(&one.journal.writer)) else { return };
    let mut open: HashMap<AttemptId, Unsettled> =
        open.into_iter().map(|one| (one.charged.id, one)).collect();
    let found = outcomes(&writer, partition, low, |attempt| open.contains_key(&attempt)).await;
    let found = found.unwrap_or_else(|error| {
        tracing::warn!(partition, %error, "unsettled charges stay: the journal can't be read");
        Vec::new()
    });
    let mut outputs = Vec::new();
    for known in found {
        let Some(one) = open.remove(&known.id) else { continue };
        outputs.extend(one.adjustment(known).await);
    }
    send(&writer, partition, outputs).await;
}

impl Unsettled {
    async fn adjustment(self, known: Attempt) -> Option<Output> {
        let Unsettled { line, completed, charged, .. } = self;
        match adjustment(&line.emitter, &completed, &charged, known).await {
            Ok(output) => output,
            Err(error) => {
                tracing::warn!(attempt = %charged.id, %error, "an adjustment can't be told");
                None
            }
        }
    }
}

async fn send(writer: &Writer, partition: i32, outputs: Vec<Output>) {
    let adjusted = outputs.len();
    if adjusted == 0 {
        return;
    }
    match writer.log().send(outputs).await {
        Ok(_) => tracing::info!(partition, adjusted, "calls were answered after all: adjusted"),
        Err(error) => tracing::warn!(partition, adjusted, %error, "unsettled charges stay"),
    }
}
