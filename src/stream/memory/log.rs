//! The handle on one log in memory; clones are handles on the same.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::follower::Tail;
use super::group::Member;
use super::member::Reader;
use super::state::{Held, Partition, State, unknown_topic};
use super::weather::Weather;
use super::writer::Committer;
use crate::base::clock::Clock;
use crate::stream::topic::TopicRules;
use crate::stream::{
    CommitErrorKind, Ends, Extent, Follower, From, Log, LogReader, LogWriter, Membership, Output,
    Progress, Record, StreamError, StreamErrorKind, Topic, TopicPartition,
};

/// A log in memory.
#[derive(Clone)]
pub struct Memory {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    state: Mutex<State>,
    pub changed: Notify,
    pub clock: Arc<dyn Clock>,
    began: Instant,
}

impl Memory {
    /// An empty log, whose timestamps are that clock's.
    pub fn new(clock: Arc<dyn Clock>) -> Memory {
        let state = Mutex::new(State::default());
        let began = Instant::now();
        Memory { shared: Arc::new(Shared { state, changed: Notify::new(), clock, began }) }
    }

    /// Kafka's rules in full from now on: calls meet what is drawn, transactions leave marks in their partitions, and a
    /// member that dies keeps its seat for a session. None makes the sky clear again; the rest stays.
    pub fn weather(&self, weather: Option<Box<dyn Weather>>) {
        self.change(|state| state.weather = weather);
    }

    /// Lets late requests arrive, ends transactions that are too old, and gives the partitions of members that have been
    /// dead for a session to others. Nothing of that happens by itself.
    pub fn pass_time(&self, session: Duration) {
        self.change(|state| state.pass_time(Instant::now(), session));
    }

    /// The session of an instance runs out, alive as it may be: what it has is taken, and it joins again.
    pub fn expire(&self, instance: &str) {
        self.change(|state| {
            state.groups.values_mut().for_each(|group| group.expire(instance));
            let names: Vec<Arc<str>> = state.groups.keys().cloned().collect();
            names.iter().for_each(|name| state.assign(name));
        });
    }

    /// Whether nothing is under way: no transaction open, no request late.
    pub fn is_quiet(&self) -> bool {
        let state = self.shared.state();
        state.open() == 0 && state.later.is_empty()
    }

    /// What no history of sound members shows.
    pub fn defects(&self) -> Vec<String> {
        let state = self.shared.state();
        state.groups.values().flat_map(|group| group.defects.iter().cloned()).collect()
    }

    /// Asks whoever reads a partition to give it up; when that is done it is assigned again.
    pub fn revoke(&self, at: &TopicPartition) {
        self.change(|state| state.groups.values_mut().for_each(|group| group.revoke(at)));
    }

    /// Takes a partition away, and assigns it again.
    pub fn lose(&self, at: &TopicPartition) {
        self.change(|state| {
            let names: Vec<Arc<str>> = state.groups.keys().cloned().collect();
            for name in names {
                if let Some(group) = state.groups.get_mut(&name) {
                    group.lose(at);
                }
                state.assign(&name);
            }
        });
    }

    /// The next commit fails like that, and nothing of it is written; call it again for the one after.
    pub fn fail_next_commit(&self, kind: CommitErrorKind) {
        self.change(|state| state.failures.push_back(kind));
    }

    /// The next reads of a partition fail, so many, as when the log is out of reach.
    pub fn fail_next_reads(&self, reads: usize) {
        self.change(|state| state.failing_reads = reads);
    }

    /// Every commit takes that long from now on.
    pub fn commits_take(&self, time: Duration) {
        self.change(|state| state.commit_takes = time);
    }

    /// All members are gone at once, as when every process dies. What was committed stays.
    pub fn restart(&self) {
        self.change(|state| {
            state.failures.clear();
            state.end_all();
            for group in state.groups.values_mut() {
                group.members.clear();
                group.owners.clear();
                group.generation += 1;
            }
        });
    }

    /// Leaves a gap of so many offsets, as control records and compaction do.
    pub fn skip(&self, at: &TopicPartition, offsets: i64) {
        self.change(|state| {
            if let Some(partition) = state.partition_mut(at) {
                partition.high += offsets;
            }
        });
    }

    /// Drops the records below an offset, as retention does.
    pub fn trim(&self, at: &TopicPartition, below: i64) {
        self.change(|state| {
            if let Some(partition) = state.partition_mut(at) {
                partition.trim(below);
            }
        });
    }

    /// Gives a topic other settings; ones it does not know are left as they were.
    pub fn reconfigure(&self, topic: &Topic) {
        self.change(|state| {
            let rules = TopicRules::read(topic);
            if let (Some(held), Ok(rules)) = (state.topics.get_mut(&topic.name), rules) {
                held.rules = rules;
            }
        });
    }

    /// Gives a topic that no group reads one more partition.
    pub fn grow(&self, topic: &str) {
        self.change(|state| {
            if let Some(held) = state.topics.get_mut(topic) {
                held.partitions.push(Partition::default());
                held.topic.partitions += 1;
            }
        });
    }

    /// Sets what a group committed, as an operator's tool does.
    pub fn set_committed(&self, group: &str, at: &TopicPartition, base: i64, metadata: &str) {
        self.change(|state| {
            let group = state.groups.entry(group.into()).or_default();
            group.committed.insert(at.clone(), (base, metadata.to_owned()));
        });
    }

    /// What a topic holds now, partition by partition.
    pub fn records(&self, topic: &str) -> Vec<Record> {
        let state = self.shared.state();
        let partitions = state.topics.get(topic).into_iter().flat_map(|held| &held.partitions);
        partitions.flat_map(|partition| partition.read(0, usize::MAX)).collect()
    }

    /// The same with the records that readers do not see yet, because a transaction before them is still under way.
    pub fn written(&self, topic: &str) -> Vec<Record> {
        let state = self.shared.state();
        let partitions = state.topics.get(topic).into_iter().flat_map(|held| &held.partitions);
        partitions.flat_map(|partition| partition.records.iter().cloned()).collect()
    }

    /// One past the last offset given in each partition of a topic.
    pub fn ends(&self, topic: &str) -> Vec<i64> {
        let state = self.shared.state();
        let partitions = state.topics.get(topic).into_iter().flat_map(|held| &held.partitions);
        partitions.map(|partition| partition.high).collect()
    }

    /// What is in force of a group's progress, partition by partition.
    pub fn progress(&self, group: &str) -> Vec<(TopicPartition, Progress)> {
        let state = self.shared.state();
        let committed = state.groups.get(group).into_iter().flat_map(|group| &group.committed);
        let read = committed.filter_map(|(at, (base, text))| {
            Some((at.clone(), Progress::decode(*base, text).ok()?))
        });
        read.collect()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state());
        self.shared.changed.notify_waiters();
    }
}

impl Shared {
    /// Time since the log was made.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The state; never held across an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Log for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn cluster(&self) -> Result<Arc<str>, StreamError> {
        Ok("memory".into())
    }

    async fn topics(&self) -> Result<Vec<Topic>, StreamError> {
        Ok(self.shared.state().topics.values().map(|held| held.topic.clone()).collect())
    }

    async fn create(&self, topics: &[Topic]) -> Result<(), StreamError> {
        let rules: Vec<TopicRules> =
            topics.iter().map(TopicRules::read).collect::<Result<_, _>>()?;
        self.change(|state| {
            for (topic, rules) in topics.iter().zip(rules) {
                state.topics.entry(topic.name.clone()).or_insert_with(|| Held::new(topic, rules));
            }
        });
        Ok(())
    }

    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, StreamError> {
        Ok(self.shared.state().extents(topic))
    }

    async fn committed(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<Vec<(i32, Progress)>, StreamError> {
        let state = self.shared.state();
        let Some(found) = state.groups.get(group) else { return Ok(Vec::new()) };
        let of_topic = found.committed.iter().filter(|(at, _)| &*at.topic == topic);
        let read = of_topic.map(|(at, (base, text))| {
            let progress = Progress::decode(*base, text).map_err(|error| StreamError {
                kind: StreamErrorKind::CorruptProgress,
                message: format!("the progress of group `{group}` in {at} can't be read: {error}"),
            })?;
            Ok((at.partition, progress))
        });
        read.collect()
    }

    async fn send(&self, outputs: Vec<Output>) -> Result<Ends, StreamError> {
        let now = self.shared.clock.now();
        let ends = {
            let mut state = self.shared.state();
            if let Some((_, error)) = state.unwritable(&outputs) {
                return Err(error);
            }
            state.append(outputs, now, None)
        };
        self.shared.changed.notify_waiters();
        Ok(ends)
    }

    async fn read(&self, at: &TopicPartition, from: i64) -> Result<Box<dyn Follower>, StreamError> {
        let mut state = self.shared.state();
        if state.failing_reads > 0 {
            state.failing_reads -= 1;
            let message = format!("`{at}` is out of reach");
            return Err(StreamError { kind: StreamErrorKind::Unavailable, message });
        }
        let partition = state.partition(at).ok_or_else(|| unknown_topic(&at.topic))?;
        let place = (at.clone(), from.max(partition.low()), partition.stable());
        Ok(Box::new(Tail::new(self.shared.clone(), vec![place])))
    }

    async fn follow(&self, topic: &str, from: From) -> Result<Box<dyn Follower>, StreamError> {
        let state = self.shared.state();
        let held = state.topics.get(topic).ok_or_else(|| unknown_topic(topic))?;
        let places = held
            .numbered()
            .map(|(at, partition)| (at, partition.resolve(from), partition.high))
            .collect();
        Ok(Box::new(Tail::new(self.shared.clone(), places)))
    }

    async fn join(
        &self,
        membership: Membership,
    ) -> Result<(Box<dyn LogReader>, Box<dyn LogWriter>), StreamError> {
        let Membership { group: name, instance, topics, on_corrupt_progress, .. } = membership;
        let missing = {
            let state = self.shared.state();
            topics.iter().find(|(topic, _)| !state.topics.contains_key(topic)).cloned()
        };
        if let Some((topic, _)) = missing {
            return Err(unknown_topic(&topic));
        }
        let writer = Committer::open(self.shared.clone(), name.clone(), instance.clone()).await?;
        let id = {
            let mut state = self.shared.state();
            state.members += 1;
            let id = state.members;
            let group = state.groups.entry(name.clone()).or_default();
            // One instance, one member: the newer one fences the older.
            let before = group.members.iter().find(|member| member.instance == instance);
            if let Some(before) = before.map(|member| member.id) {
                group.remove(before);
            }
            group.generation += 1;
            group.members.push(Member {
                id,
                instance,
                topics,
                on_corrupt: on_corrupt_progress,
                news: [].into(),
                told: 0,
                silent: None,
            });
            state.assign(&name);
            id
        };
        self.shared.changed.notify_waiters();
        let reader = Reader::new(self.shared.clone(), name, id);
        Ok((Box::new(reader), Box::new(writer.of(id))))
    }
}
