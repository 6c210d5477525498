//! The reader's thread: polls the consumer, copies records out, answers rebalances.
//!
//! Rebalance callbacks only take notes; the answers are given here, between two polls, where waiting harms nobody: the
//! client keeps heartbeats going on its own thread until it is answered. While an answer is owed it fetches nothing, for
//! any partition.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::member::{MemberConsumer, Rebalance, Shared};
use super::{fault, offsets};
use crate::stream::{
    Delivery, Epoch, Headers, Membership, Record, Revocation, StreamError, StreamErrorKind,
    TopicPartition,
};

/// The longest rest between two polls.
const REST: Duration = Duration::from_millis(100);
/// Records and bytes that are delivered together.
const TOGETHER: usize = 512;
const TOGETHER_BYTES: usize = 1 << 20;
/// Errors are dropped when this much waits to be told.
const UNSENT: usize = 64;
/// A queue that stays full this long: stop fetching, so that rebalances can still be seen.
const FULL: Duration = Duration::from_secs(1);
/// A drain that nobody ends is ended: other members wait for it.
const DRAIN_WITHIN: Duration = Duration::from_secs(100);

/// How long the second half of a rebalance is waited for when leaving in its middle.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a consumer may take to close.
const LEAVE_WITHIN: Duration = Duration::from_secs(20);

/// What leaves the thread.
pub(super) type Delivered = Result<Delivery, StreamError>;

/// What outlives a consumer: where deliveries go, and the count of assignments.
pub(super) struct Outlet {
    out: Sender<Delivered>,
    /// Not sent yet: the queue is full.
    unsent: VecDeque<Delivered>,
    epochs: u64,
}

/// How the thread goes on when a consumer is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The reader closed.
    Stop,
    /// Join with a new consumer. When a session ends in the middle of a rebalance, the client would go on with
    /// partitions that somebody else may have had in between, and would not tell.
    JoinAnew,
}

/// One consumer's life.
pub(super) struct Poll {
    pub(super) consumer: Arc<MemberConsumer>,
    pub(super) membership: Membership,
    pub(super) shared: Arc<Shared>,
    /// After this long without an answer the group may have given us up.
    pub(super) session: Duration,
    outlet: Outlet,
    full_since: Option<Instant>,
    pub(super) assigned: HashMap<TopicPartition, Epoch>,
    /// In the consumer's assignment: what is assigned, and what must stay silent.
    pub(super) placed: HashSet<TopicPartition>,
    /// Paused in the client.
    paused: HashSet<TopicPartition>,
    draining: Option<Draining>,
    after: Option<After>,
}

struct Draining {
    partitions: Vec<TopicPartition>,
    since: Instant,
}

impl Outlet {
    pub(super) fn new(out: Sender<Delivered>) -> Self {
        Outlet { out, unsent: VecDeque::new(), epochs: 0 }
    }

    pub(super) fn deliver(&mut self, delivery: Delivered) {
        self.unsent.push_back(delivery);
    }

    /// Sends what the queue takes. Says whether that was everything.
    pub(super) fn send(&mut self) -> bool {
        while let Some(delivery) = self.unsent.pop_front() {
            match self.out.try_send(delivery) {
                Ok(()) => {}
                Err(TrySendError::Full(delivery)) => {
                    self.unsent.push_front(delivery);
                    return false;
                }
                Err(TrySendError::Closed(_)) => self.unsent.clear(),
            }
        }
        true
    }
}

impl Poll {
    pub(super) fn new(
        consumer: Arc<MemberConsumer>,
        membership: Membership,
        session: Duration,
        shared: Arc<Shared>,
        outlet: Outlet,
    ) -> Self {
        Poll {
            consumer,
            membership,
            shared,
            session,
            outlet,
            full_since: None,
            assigned: HashMap::new(),
            placed: HashSet::new(),
            paused: HashSet::new(),
            draining: None,
            after: None,
        }
    }

    /// Runs until the reader closes or is gone, or the group must be joined anew.
    pub(super) fn run(mut self) -> (After, Outlet) {
        loop {
            self.answer();
            self.drain();
            if let Some(after) = self.after {
                return (after, self.leave());
            }
            if self.shared.closing() || self.outlet.out.is_closed() {
                return (After::Stop, self.leave());
            }
            let held = self.is_held();
            self.pace(held);
            let more = (held || self.outlet.unsent.is_empty()) && self.gather();
            if !self.outlet.send() {
                // Set before the last try, or the reader could make room unseen.
                self.shared.waiting.store(true, Ordering::SeqCst);
                if !self.outlet.send() {
                    thread::park_timeout(REST);
                }
            } else if !more {
                thread::park_timeout(REST);
            }
        }
    }

    /// Whether fetching is stopped because the queue has been full for long.
    fn is_held(&mut self) -> bool {
        if self.outlet.send() {
            self.full_since = None;
            return false;
        }
        self.full_since.get_or_insert_with(Instant::now).elapsed() >= FULL
    }

    /// Takes what the client has, until one batch is full. Says whether there may be more.
    pub(super) fn gather(&mut self) -> bool {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut more = false;
        let consumer = self.consumer.clone();
        loop {
            match consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let record = self.copy(&message);
                    bytes += size(&record);
                    records.push(record);
                    if records.len() >= TOGETHER || bytes >= TOGETHER_BYTES {
                        more = true;
                        break;
                    }
                }
                Some(Err(error)) => self.report(&error),
                None if consumer.context().was_stirred() => {
                    more = true;
                    break;
                }
                None => break,
            }
        }
        drop(consumer);
        if !records.is_empty() {
            self.deliver(Ok(Delivery::Records(records)));
        }
        more
    }

    fn copy(&self, message: &BorrowedMessage<'_>) -> Record {
        let name = message.topic();
        let mut topics = self.membership.topics.iter().map(|(topic, _)| topic);
        let topic = topics.find(|topic| ***topic == *name).cloned();
        copy(message, topic.unwrap_or_else(|| Arc::from(name)))
    }

    pub(super) fn deliver(&mut self, delivery: Delivered) {
        self.outlet.deliver(delivery);
    }

    /// Makes the client's pauses what the reader and the queue want.
    fn pace(&mut self, held: bool) {
        let wanted: HashSet<TopicPartition> = if held {
            self.placed.clone()
        } else {
            let paused = self.shared.paused();
            paused.into_iter().filter(|at| self.placed.contains(at)).collect()
        };
        let pause: Vec<_> = wanted.difference(&self.paused).cloned().collect();
        let resume: Vec<_> = self.paused.difference(&wanted).cloned().collect();
        if !pause.is_empty() && self.consumer.pause(&offsets::list(&pause)).is_ok() {
            self.paused.extend(pause);
        }
        if !resume.is_empty() && self.consumer.resume(&offsets::list(&resume)).is_ok() {
            for at in &resume {
                self.paused.remove(at);
            }
        }
    }

    /// Answers rebalances that the callbacks noted.
    fn answer(&mut self) {
        while self.draining.is_none() && self.after.is_none() {
            match self.consumer.context().take() {
                None => return,
                Some(Rebalance::Assign(partitions)) => self.assign(&partitions),
                Some(Rebalance::Revoke { partitions, lost }) => self.revoke(partitions, lost),
            }
        }
    }

    fn revoke(&mut self, partitions: Vec<TopicPartition>, lost: bool) {
        if lost {
            for at in &partitions {
                self.lose(at);
            }
            return self.give_up(&partitions);
        }
        let mut drains = false;
        for at in &partitions {
            if let Some(epoch) = self.assigned.get(at).copied() {
                drains = true;
                self.deliver(Ok(Delivery::Revoked(Revocation { at: at.clone(), epoch })));
            }
        }
        if !drains {
            return self.give_up(&partitions);
        }
        self.draining = Some(Draining { partitions, since: Instant::now() });
    }

    /// Ends a drain when every partition of it was released.
    fn drain(&mut self) {
        let expired = self.consumer.context().has_expired();
        let Some(draining) = &self.draining else { return };
        if expired || draining.since.elapsed() >= self.session {
            return self.join_anew();
        }
        let done = draining.partitions.iter().all(|at| {
            let epoch = self.assigned.get(at);
            epoch.is_none_or(|epoch| self.shared.is_released(at, *epoch))
        });
        let late = draining.since.elapsed() >= DRAIN_WITHIN;
        if !done && !late {
            return;
        }
        let Some(Draining { partitions, .. }) = self.draining.take() else { return };
        for at in &partitions {
            if let Some(epoch) = self.assigned.get(at).copied()
                && !self.shared.is_released(at, epoch)
            {
                self.lose(at);
            }
        }
        self.give_up(&partitions);
    }

    fn lose(&mut self, at: &TopicPartition) {
        if let Some(epoch) = self.assigned.remove(at) {
            self.shared.disown(at);
            self.deliver(Ok(Delivery::Lost(at.clone(), epoch)));
        }
    }

    /// Hands partitions back: the table first, then the client, or a batch could pass with the next generation.
    fn give_up(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            self.assigned.remove(at);
            self.shared.disown(at);
            self.shared.forget(at);
            self.paused.remove(at);
        }
        let placed: Vec<_> =
            partitions.iter().filter(|at| self.placed.remove(at)).cloned().collect();
        // Even an empty answer is an answer.
        if let Err(error) = self.consumer.incremental_unassign(&offsets::list(&placed)) {
            self.refused(&error);
        }
    }

    pub(super) fn next_epoch(&mut self) -> Epoch {
        self.outlet.epochs += 1;
        Epoch(self.outlet.epochs)
    }

    /// Everything is lost; [`Poll::run`] ends.
    pub(super) fn join_anew(&mut self) {
        tracing::warn!(
            target: "vivremotion::kafka",
            group = &*self.membership.group,
            "the group may have moved on during a rebalance, joining anew"
        );
        let all: Vec<_> = self.assigned.keys().cloned().collect();
        for at in &all {
            self.lose(at);
            self.shared.forget(at);
        }
        self.after = Some(After::JoinAnew);
    }

    /// Answers what is owed and drops the consumer: it leaves the group, but for a static member, whose seat stays warm.
    fn leave(mut self) -> Outlet {
        for at in self.assigned.keys() {
            self.shared.disown(at);
        }
        self.outlet.send();
        self.shared.set_consumer(None);
        let context = self.consumer.context();
        context.start_closing();
        // Whichever answer is owed, this gives it: the close below would wait for it without end.
        let placed: Vec<_> = self.placed.iter().cloned().collect();
        let _ = self.consumer.incremental_assign(&offsets::list(&[]));
        let _ = self.consumer.incremental_unassign(&offsets::list(&placed));
        if self.draining.is_some() {
            // The second half of the rebalance is to be answered before the close starts one of its own.
            let deadline = Instant::now() + SETTLE;
            while context.answered() == 0 && Instant::now() < deadline {
                drop(self.consumer.poll(REST / 10));
            }
        }
        let Poll { consumer, outlet, .. } = self;
        let (done, left) = mpsc::channel();
        let body = move || {
            drop(consumer);
            // Nobody waits any more when it took too long.
            let _ = done.send(());
        };
        // Closing has been seen to hang in the client: then the consumer is left behind.
        let thread = thread::Builder::new().name("kafka-leave".to_owned()).spawn(body);
        match (thread, left.recv_timeout(LEAVE_WITHIN)) {
            (Ok(thread), Ok(())) => drop(thread.join()),
            _ => tracing::warn!(target: "vivremotion::kafka", "a consumer did not close"),
        }
        outlet
    }

    /// The client does not take an answer: it would wait for it without end.
    pub(super) fn refused(&mut self, error: &KafkaError) {
        self.deliver(Err(StreamError {
            kind: StreamErrorKind::Fatal,
            message: format!(
                "the client does not take the assignment of group `{}`: {error}",
                self.membership.group
            ),
        }));
    }

    pub(super) fn report(&mut self, error: &KafkaError) {
        let message = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::FencedInstanceId) => {
                "another process runs with this instance's name".to_owned()
            }
            _ => format!("reading group `{}`: {error}", self.membership.group),
        };
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let kind = if fatal {
            StreamErrorKind::Fatal
        } else {
            error.rdkafka_error_code().map_or(StreamErrorKind::Unavailable, fault::kind_of)
        };
        // The client mends what is merely unreachable; only the state that nobody is reachable is worth telling.
        let passing = kind == StreamErrorKind::Unavailable
            && error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown);
        if passing || self.outlet.unsent.len() >= UNSENT {
            tracing::debug!(target: "vivremotion::kafka", "{message}");
        } else {
            self.deliver(Err(StreamError { kind, message }));
        }
    }
}

/// Copies a record out of the client's buffer, which would pin a whole fetch.
pub(super) fn copy(message: &BorrowedMessage<'_>, topic: Arc<str>) -> Record {
    Record {
        at: TopicPartition { topic, partition: message.partition() },
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: headers(message),
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let Some(headers) = message.headers() else { return Headers::new() };
    let one = |index: usize| {
        let header = headers.get(index);
        (header.key.to_owned(), header.value.map(Bytes::copy_from_slice))
    };
    let all = || (0..headers.count()).map(one).collect();
    // The crate panics on a name that is not UTF-8, which any producer can send: such a header loses its name and value,
    // the others stay.
    catch_unwind(AssertUnwindSafe(all)).unwrap_or_else(|_| {
        let unreadable = |_| ("\u{fffd}".to_owned(), None);
        let lenient =
            |index| catch_unwind(AssertUnwindSafe(|| one(index))).unwrap_or_else(unreadable);
        (0..headers.count()).map(lenient).collect()
    })
}

pub(super) fn size(record: &Record) -> usize {
    let len = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + len(value)).sum();
    len(&record.key) + len(&record.value) + headers
}
