//! Topics and their records.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::broker::{Later, Producer};
use super::group::Group;
use super::weather::Weather;
use crate::stream::topic::TopicRules;
use crate::stream::{
    CommitErrorKind, Ends, Extent, From, Output, Record, StreamError, StreamErrorKind, Topic,
    TopicPartition,
};

/// All there is.
#[derive(Default)]
pub(super) struct State {
    pub topics: BTreeMap<Arc<str>, Held>,
    pub groups: BTreeMap<Arc<str>, Group>,
    /// By transactional id.
    pub producers: BTreeMap<Arc<str>, Producer>,
    /// Transactions so far.
    pub transactions: u64,
    /// Requests on their way.
    pub later: Vec<Later>,
    /// What calls meet; none is a clear sky, in which transactions also leave no marks and members that are dropped are
    /// gone at once.
    pub weather: Option<Box<dyn Weather>>,
    /// What the next commits fail with.
    pub failures: VecDeque<CommitErrorKind>,
    /// So many reads of a partition fail.
    pub failing_reads: usize,
    /// How long a commit takes.
    pub commit_takes: Duration,
    /// Members and assignments so far, of all groups.
    pub members: u64,
    pub epochs: u64,
}

/// A topic.
pub(super) struct Held {
    pub topic: Topic,
    pub rules: TopicRules,
    pub partitions: Vec<Partition>,
    /// Records without a key and a partition go round.
    turn: usize,
}

/// The records of a partition.
#[derive(Default)]
pub(super) struct Partition {
    /// Those that are committed, by offset.
    pub records: Vec<Record>,
    /// Those of transactions under way, with the number of each.
    open: Vec<(u64, Record)>,
    /// One past the last offset given.
    pub high: i64,
}

impl Partition {
    fn index(&self, offset: i64) -> usize {
        self.records.partition_point(|record| record.offset < offset)
    }

    /// The first offset that is kept.
    pub fn low(&self) -> i64 {
        self.records.first().map_or(self.stable(), |record| record.offset.min(self.stable()))
    }

    /// Where readers of committed records must stop: the first record of a transaction under way.
    pub fn stable(&self) -> i64 {
        self.open.first().map_or(self.high, |(_, record)| record.offset)
    }

    /// A transaction ended: its records are committed, or their offsets stay empty; its mark takes an offset.
    pub fn end(&mut self, number: u64, commit: bool, marks: bool) {
        let (ended, open) =
            std::mem::take(&mut self.open).into_iter().partition(|(of, _)| *of == number);
        self.open = open;
        let ended: Vec<(u64, Record)> = ended;
        for (_, record) in ended.into_iter().filter(|_| commit) {
            self.records.insert(self.index(record.offset), record);
        }
        self.high += i64::from(marks);
    }

    /// Where somebody starts who begins there.
    pub fn resolve(&self, from: From) -> i64 {
        match from {
            From::Earliest => self.low(),
            From::Latest => self.stable(),
            From::Time(time) => {
                let found = self.records.iter().find(|record| record.timestamp >= time);
                found.map_or(self.stable(), |record| record.offset.min(self.stable()))
            }
        }
    }

    /// Records from that offset on, at most so many.
    pub fn read(&self, from: i64, limit: usize) -> Vec<Record> {
        let stable = self.stable();
        let found = self.records[self.index(from)..].iter().take(limit);
        found.take_while(|record| record.offset < stable).cloned().collect()
    }

    /// Drops the records below that offset.
    pub fn trim(&mut self, below: i64) {
        let kept = self.records.split_off(self.index(below));
        self.records = kept;
    }
}

impl Held {
    /// A new topic.
    pub fn new(topic: &Topic, rules: TopicRules) -> Held {
        let partitions = (0..topic.partitions.max(1)).map(|_| Partition::default()).collect();
        Held { topic: topic.clone(), rules, partitions, turn: 0 }
    }

    /// Its partitions with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        self.partitions.iter().zip(0..).map(|(partition, number)| {
            (TopicPartition { topic: self.topic.name.clone(), partition: number }, partition)
        })
    }

    fn place(&mut self, output: &Output) -> usize {
        match (output.partition, &output.key) {
            (Some(partition), _) => partition as usize,
            (None, Some(key)) => crc32c::crc32c(key) as usize % self.partitions.len(),
            (None, None) => {
                self.turn += 1;
                (self.turn - 1) % self.partitions.len()
            }
        }
    }
}

impl State {
    /// A partition that is there.
    pub fn partition(&self, at: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&at.topic)?.partitions.get(usize::try_from(at.partition).ok()?)
    }

    /// The same, to change it.
    pub fn partition_mut(&mut self, at: &TopicPartition) -> Option<&mut Partition> {
        self.topics.get_mut(&at.topic)?.partitions.get_mut(usize::try_from(at.partition).ok()?)
    }

    /// The extents of a topic; none when it is not there.
    pub fn extents(&self, topic: &str) -> Vec<Extent> {
        let partitions = self.topics.get(topic).into_iter().flat_map(Held::numbered);
        partitions.map(|(at, p)| Extent { at, low: p.low(), high: p.stable() }).collect()
    }

    /// The first of these records that can never be written.
    pub fn unwritable(&self, outputs: &[Output]) -> Option<(usize, StreamError)> {
        let refuse = |output: &Output| {
            let Some(held) = self.topics.get(&output.topic) else {
                return Some(unknown_topic(&output.topic));
            };
            let known = |number: i32| {
                usize::try_from(number).is_ok_and(|number| number < held.partitions.len())
            };
            let message = match output.partition.filter(|number| !known(*number)) {
                Some(number) => Some(format!("topic `{}` has no partition {number}", output.topic)),
                None => held.rules.refuses(&output.topic, output.size()),
            };
            message.map(|message| StreamError { kind: StreamErrorKind::Setting, message })
        };
        outputs.iter().enumerate().find_map(|(index, output)| Some((index, refuse(output)?)))
    }

    /// Writes records that were found writable, in a transaction or for good. Says where they went.
    pub fn append(&mut self, outputs: Vec<Output>, now: i64, transaction: Option<u64>) -> Ends {
        let mut ends = BTreeMap::new();
        for output in outputs {
            let Some(held) = self.topics.get_mut(&output.topic) else { continue };
            let number = held.place(&output);
            let append_time = held.rules.append_time;
            let Some(partition) = held.partitions.get_mut(number) else { continue };
            let Output { topic, key, value, headers, timestamp, .. } = output;
            let at = TopicPartition { topic, partition: number as i32 };
            let timestamp = timestamp.filter(|_| !append_time).unwrap_or(now);
            let offset = partition.high;
            ends.insert(at.clone(), offset + 1);
            let record = Record { at, offset, timestamp, key, value, headers };
            match transaction {
                Some(number) => partition.open.push((number, record)),
                None => partition.records.push(record),
            }
            partition.high += 1;
        }
        ends.into_iter().collect()
    }
}

/// A topic that must exist does not.
pub(super) fn unknown_topic(topic: &str) -> StreamError {
    let message = format!("there is no topic `{topic}` in this log: create it first");
    StreamError { kind: StreamErrorKind::UnknownTopic, message }
}
