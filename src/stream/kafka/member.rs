//! What the reader's thread, the reader and the writer of one group member share.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, TopicPartitionList};

use super::{offsets, producer};
use crate::stream::{Epoch, TopicPartition};

pub(super) type MemberConsumer = BaseConsumer<Rebalances>;

/// What the two sides of a member share.
pub(super) struct Shared {
    /// The consumer, for its group metadata and for plain commits. Only the reader's thread makes and drops it.
    consumer: Mutex<Option<Arc<MemberConsumer>>>,
    /// The partitions that are ours, each with its epoch. Updated before the consumer gives a partition up, hence before
    /// the group's generation can move on without it: a batch that is checked against this after its fence was taken
    /// can't slip through with a newer generation.
    owned: Mutex<HashMap<TopicPartition, Epoch>>,
    wishes: Mutex<Wishes>,
    thread: OnceLock<Thread>,
    /// The reader's thread waits for room in the queue of deliveries.
    pub(super) waiting: AtomicBool,
}

/// What the reader asks of its thread. A state, not a queue: bounded by the number of partitions.
#[derive(Default)]
struct Wishes {
    paused: HashSet<TopicPartition>,
    released: HashMap<TopicPartition, Epoch>,
    close: bool,
}

impl Shared {
    pub(super) fn new() -> Self {
        Shared {
            consumer: Mutex::new(None),
            owned: Mutex::new(HashMap::new()),
            wishes: Mutex::new(Wishes::default()),
            thread: OnceLock::new(),
            waiting: AtomicBool::new(false),
        }
    }

    /// Says which thread to wake.
    pub(super) fn runs_on(&self, thread: Thread) {
        // Set once by the thread itself; a second thread is never started.
        let _ = self.thread.set(thread);
    }

    pub(super) fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(super) fn pause(&self, at: &TopicPartition, paused: bool) {
        let mut wishes = lock(&self.wishes);
        let changed =
            if paused { wishes.paused.insert(at.clone()) } else { wishes.paused.remove(at) };
        drop(wishes);
        if changed {
            self.wake();
        }
    }

    pub(super) fn release(&self, at: &TopicPartition, epoch: Epoch) {
        let mut wishes = lock(&self.wishes);
        let released = wishes.released.entry(at.clone()).or_insert(epoch);
        *released = (*released).max(epoch);
        drop(wishes);
        self.wake();
    }

    pub(super) fn close(&self) {
        lock(&self.wishes).close = true;
        self.wake();
    }

    pub(super) fn closing(&self) -> bool {
        lock(&self.wishes).close
    }

    pub(super) fn paused(&self) -> HashSet<TopicPartition> {
        lock(&self.wishes).paused.clone()
    }

    /// A partition that comes (back) is not paused, and what was released before is history.
    pub(super) fn forget(&self, at: &TopicPartition) {
        let mut wishes = lock(&self.wishes);
        wishes.paused.remove(at);
        wishes.released.remove(at);
    }

    pub(super) fn is_released(&self, at: &TopicPartition, epoch: Epoch) -> bool {
        lock(&self.wishes).released.get(at).is_some_and(|released| *released >= epoch)
    }

    pub(super) fn own(&self, at: &TopicPartition, epoch: Epoch) {
        lock(&self.owned).insert(at.clone(), epoch);
    }

    pub(super) fn disown(&self, at: &TopicPartition) {
        lock(&self.owned).remove(at);
    }

    /// Whether a partition is ours, in that epoch.
    pub(super) fn owns(&self, at: &TopicPartition, epoch: Epoch) -> bool {
        lock(&self.owned).get(at) == Some(&epoch)
    }

    pub(super) fn set_consumer(&self, consumer: Option<Arc<MemberConsumer>>) {
        *lock(&self.consumer) = consumer;
    }

    /// The membership now. The consumer never leaves the lock, so that its last owner is the reader's thread.
    pub(super) fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        lock(&self.consumer).as_ref().and_then(|consumer| consumer.group_metadata())
    }

    /// Runs `with` on the consumer, if there is one.
    pub(super) fn with_consumer<T>(&self, with: impl FnOnce(&MemberConsumer) -> T) -> Option<T> {
        lock(&self.consumer).as_deref().map(with)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A rebalance that waits for our answer.
#[derive(Debug)]
pub(super) enum Rebalance {
    /// These come to us.
    Assign(Vec<TopicPartition>),
    /// These must be given up; `lost` when they are gone already.
    Revoke { partitions: Vec<TopicPartition>, lost: bool },
}

/// The consumer's callbacks. They note what happened and return at once: the reader's thread answers afterwards.
pub(super) struct Rebalances {
    topics: Vec<Arc<str>>,
    queue: Mutex<VecDeque<Rebalance>>,
    /// Something other than a record was taken from the client's queue.
    stirred: AtomicBool,
    /// From now on the callbacks answer rebalances themselves: the consumer is being dropped.
    closing: AtomicBool,
    answered: AtomicU32,
    /// The session ran out. In the middle of a rebalance the client says so only in its log.
    expired: AtomicBool,
}

impl Rebalances {
    pub(super) fn take(&self) -> Option<Rebalance> {
        lock(&self.queue).pop_front()
    }

    pub(super) fn was_stirred(&self) -> bool {
        self.stirred.swap(false, Ordering::SeqCst)
    }

    pub(super) fn start_closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_expired(&self) -> bool {
        self.expired.swap(false, Ordering::SeqCst)
    }

    /// Rebalances answered while closing.
    pub(super) fn answered(&self) -> u32 {
        self.answered.load(Ordering::SeqCst)
    }

    /// Answers a rebalance on the spot: nobody will come back to it, and the drop of the consumer waits for it.
    fn answer(&self, consumer: &BaseConsumer<Self>, coming: bool, list: &TopicPartitionList) {
        if self.answered.fetch_add(1, Ordering::SeqCst) > 0 {
            // The first answer may have settled this one too; the client closes then, and a call to a client that has
            // closed never returns.
            for _ in 0..100 {
                if consumer.closed() {
                    return;
                }
                thread::park_timeout(Duration::from_millis(5));
            }
        }
        let answer = if coming {
            consumer.incremental_assign(&TopicPartitionList::new())
        } else {
            consumer.incremental_unassign(list)
        };
        if answer.is_err() && !consumer.closed() {
            let _ = consumer.unassign();
        }
    }

    fn stir(&self) {
        self.stirred.store(true, Ordering::SeqCst);
    }
}

impl ClientContext for Rebalances {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.stir();
        if facility == "SESSTMOUT" {
            self.expired.store(true, Ordering::SeqCst);
        }
        producer::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.stir();
        tracing::debug!(target: "vivremotion::kafka", %error, "{reason}");
    }
}

impl ConsumerContext for Rebalances {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.stir();
        let coming = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            return self.answer(consumer, coming, list);
        }
        let partitions = offsets::places(list, |topic| {
            let known = self.topics.iter().find(|known| ***known == *topic);
            known.cloned().unwrap_or_else(|| Arc::from(topic))
        });
        let rebalance = if coming {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke { partitions, lost: consumer.assignment_lost() }
        };
        lock(&self.queue).push_back(rebalance);
    }

    fn commit_callback(&self, _: Result<(), KafkaError>, _: &TopicPartitionList) {
        self.stir();
    }
}

/// Makes the consumer of a member, subscribed, and tells `shared` when it has something.
pub(super) fn subscribe(
    config: &ClientConfig,
    topics: &[Arc<str>],
    shared: &Arc<Shared>,
) -> Result<Arc<MemberConsumer>, KafkaError> {
    let context = Rebalances {
        topics: topics.to_vec(),
        queue: Mutex::new(VecDeque::new()),
        stirred: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        answered: AtomicU32::new(0),
        expired: AtomicBool::new(false),
    };
    let mut consumer: MemberConsumer = config.create_with_context(context)?;
    let woken = Arc::downgrade(shared);
    consumer.set_nonempty_callback(move || {
        if let Some(shared) = woken.upgrade() {
            shared.wake();
        }
    });
    let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
    consumer.subscribe(&names)?;
    let consumer = Arc::new(consumer);
    shared.set_consumer(Some(consumer.clone()));
    Ok(consumer)
}
