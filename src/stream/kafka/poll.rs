//! The reader's thread: polls the consumer, copies records out, answers rebalances.
//!
//! Rebalance callbacks only take notes; the answers are given here, between two polls, where waiting harms nobody: the
//! client keeps heartbeats going on its own thread until it is answered. While an answer is owed it fetches nothing, for
//! any partition.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio::time::Instant;

use super::config::Times;
use super::copy::copy;
use super::lookup::Lookup;
use super::member::{MemberConsumer, Rebalance, Shared};
use super::orphans::{Census, Look};
use super::outlet::{Delivered, Outlet};
use super::{fault, offsets};
use crate::base::halt::Halt;
use crate::stream::{
    Delivery, Epoch, Membership, Record, Revocation, StreamError, StreamErrorKind, TopicPartition,
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

/// How the thread goes on when a consumer is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The reader closed.
    Stop,
    /// Join with a new consumer. When a session ends in the middle of a rebalance, the client would go on with
    /// partitions that somebody else may have had in between, and would not tell. When it ends in peace, the client may
    /// fence itself by joining twice.
    JoinAnew,
}

/// One consumer's life.
pub(super) struct Poll {
    pub(super) consumer: Arc<MemberConsumer>,
    pub(super) membership: Membership,
    /// Names of the membership's topics, which records share.
    topics: HashSet<Arc<str>>,
    pub(super) shared: Arc<Shared>,
    /// After this long without an answer the group may have given us up.
    pub(super) session: Duration,
    /// Beats with every round: what runs of our partitions halts when this thread stood still for so long that they may be
    /// somebody else's.
    alive: Arc<Halt>,
    outlet: Outlet,
    full_since: Option<Instant>,
    pub(super) assigned: HashMap<TopicPartition, Held>,
    /// In the consumer's assignment: what is assigned, and what must stay silent.
    pub(super) placed: HashSet<TopicPartition>,
    /// Paused in the client.
    paused: HashSet<TopicPartition>,
    pub(super) draining: Option<Draining>,
    pub(super) census: Census,
    pub(super) look: Option<Look>,
    /// For questions that must not wait for a fetch.
    pub(super) lookup: Arc<Lookup>,
    /// The subscription has a topic that does not exist, so that the client joined again.
    pub(super) stirred: bool,
    pub(super) after: Option<After>,
}

/// What is ours.
pub(super) struct Held {
    pub(super) epoch: Epoch,
    pub(super) tenure: Arc<Halt>,
}

pub(super) struct Draining {
    partitions: Vec<TopicPartition>,
    since: Instant,
}

impl Poll {
    pub(super) fn new(
        consumer: Arc<MemberConsumer>,
        membership: Membership,
        Times { session, stillness }: Times,
        shared: Arc<Shared>,
        lookup: Arc<Lookup>,
        outlet: Outlet,
    ) -> Self {
        Poll {
            consumer,
            topics: membership.topics.iter().map(|(topic, _)| Arc::clone(topic)).collect(),
            membership,
            shared,
            session,
            alive: Halt::unless_beating(stillness),
            outlet,
            full_since: None,
            assigned: HashMap::new(),
            placed: HashSet::new(),
            paused: HashSet::new(),
            draining: None,
            census: Census::new(Instant::now()),
            look: None,
            lookup,
            stirred: false,
            after: None,
        }
    }

    /// Runs until the reader closes or is gone, or the group must be joined anew.
    pub(super) fn run(mut self) -> (After, Outlet) {
        loop {
            self.answer();
            self.drain();
            self.look_for_orphans();
            // Nothing from here to there takes long. Where it does, the process stood still, and sent no heartbeat either:
            // what it had is somebody else's by now, which the client would find out only by asking.
            let lives = self.alive.beat();
            if let Some(after) = self.after {
                return (after, self.leave());
            }
            if self.shared.closing() || self.outlet.is_closed() {
                return (After::Stop, self.leave());
            }
            let held = self.is_held();
            self.pace(held);
            let more = (held || self.outlet.backlog() == 0) && self.gather();
            if !self.outlet.send() {
                // Set before the last try, or the reader could make room unseen.
                self.shared.waiting.store(true, Ordering::SeqCst);
                if !self.outlet.send() {
                    thread::park_timeout(REST);
                }
            } else if !more {
                thread::park_timeout(REST);
            }
            if !(lives && self.alive.rest()) {
                self.join_anew();
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
                    bytes += record.size();
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
        let topic = self.topics.get(name).cloned();
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
            let rebalance = self.consumer.context().take();
            if rebalance.is_some() {
                self.census.moved(Instant::now());
            }
            match rebalance {
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
            if let Some(epoch) = self.epoch(at) {
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
        let expired = self.note_expiry();
        let Some(draining) = &self.draining else { return };
        if expired || draining.since.elapsed() >= self.session {
            return self.come_back();
        }
        let done = draining
            .partitions
            .iter()
            .all(|at| self.epoch(at).is_none_or(|epoch| self.shared.is_released(at, epoch)));
        let late = draining.since.elapsed() >= DRAIN_WITHIN;
        if !done && !late {
            return;
        }
        let Some(Draining { partitions, .. }) = self.draining.take() else { return };
        for at in &partitions {
            if let Some(epoch) = self.epoch(at)
                && !self.shared.is_released(at, epoch)
            {
                self.lose(at);
            }
        }
        self.give_up(&partitions);
    }

    fn lose(&mut self, at: &TopicPartition) {
        if let Some(Held { epoch, tenure }) = self.assigned.remove(at) {
            tenure.set();
            self.shared.disown(at);
            self.deliver(Ok(Delivery::Lost(at.clone(), epoch)));
        }
    }

    /// Hands partitions back: the table first, then the client, or a batch could pass with the next generation.
    fn give_up(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            if let Some(Held { tenure, .. }) = self.assigned.remove(at) {
                tenure.set();
            }
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

    fn epoch(&self, at: &TopicPartition) -> Option<Epoch> {
        self.assigned.get(at).map(|held| held.epoch)
    }

    /// For a new assignment.
    pub(super) fn tenure(&self) -> Arc<Halt> {
        Halt::within(&self.alive)
    }

    pub(super) fn next_epoch(&mut self) -> Epoch {
        self.outlet.next_epoch()
    }

    /// Whether the client has given up for good; it said so as an error.
    pub(super) fn is_spent(&self) -> bool {
        self.consumer.client().fatal_error().is_some()
    }

    /// Whether the client said since the last call that the session ran out.
    pub(super) fn note_expiry(&mut self) -> bool {
        let expired = self.consumer.context().has_expired();
        if expired {
            self.outlet.session_ended(Instant::now());
        }
        expired
    }

    /// The session has ended, also where only the time says so: joins anew.
    pub(super) fn come_back(&mut self) {
        self.outlet.session_ended(Instant::now());
        self.join_anew();
    }

    /// Everything is lost; [`Poll::run`] ends.
    pub(super) fn join_anew(&mut self) {
        self.alive.set();
        tracing::warn!(
            target: "vivremotion::kafka",
            group = &*self.membership.group,
            "the group may have moved on without us, joining anew"
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
        self.alive.set();
        self.look = None;
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
        let code = error.rdkafka_error_code().map(fault::kind_of);
        let absent = matches!(code, Some(StreamErrorKind::UnknownTopic | StreamErrorKind::Denied));
        if absent && self.stirred {
            return;
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::FencedInstanceId) {
            self.note_expiry();
            if self.after.is_some() {
                return;
            }
            if self.outlet.has_fenced_itself(Instant::now()) {
                return self.join_anew();
            }
        }
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
        if passing || self.outlet.backlog() >= UNSENT {
            tracing::debug!(target: "vivremotion::kafka", "{message}");
        } else {
            self.deliver(Err(StreamError { kind, message }));
        }
    }
}
