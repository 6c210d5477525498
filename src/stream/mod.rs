//! The log: where records come from and where outputs go. Four things can arrive, one door writes.
//!
//! **What a member promises.** Records of a partition arrive in offset order. `Assigned` precedes the first record of a
//! partition, and carries the progress that was committed last: offsets it calls done are not filtered out here, the
//! tracker does that. A [`Batch`] is visible to readers of committed data whole or not at all, together with its
//! progress. After `Revoked` a member keeps the partition until [`LogReader::release`]; after `Lost` it is gone at once.
//! `next` and `Follower::next` are cancel-safe.
//!
//! **What a member must not do.** Retry a batch whose outcome is known to be a failure, skip a record, log a payload,
//! block a runtime thread.
//!
//! Conformance: `tests/it/conformance/log.rs`, run against every member.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::base::halt::Halt;

pub mod kafka;
pub mod local;
pub mod memory;
pub mod progress;
mod rest;
pub mod topic;
pub mod transaction;

pub use progress::Progress;
pub use rest::rest;

/// A topic and one of its partitions.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TopicPartition {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Headers in their order; a name may occur several times, a value may be null.
pub type Headers = Vec<(Cow<'static, str>, Option<Bytes>)>;

/// The last header of that name, if it has a value.
pub fn header<'h>(headers: &'h Headers, name: &str) -> Option<&'h Bytes> {
    headers.iter().rev().find(|(n, _)| n == name).and_then(|(_, value)| value.as_ref())
}

/// What a log holds, copied out of the client's buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub at: TopicPartition,
    /// Offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Key.
    pub key: Option<Bytes>,
    /// Value; none is a tombstone.
    pub value: Option<Bytes>,
    /// Headers.
    pub headers: Headers,
}

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition; none lets the log choose by key.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<Bytes>,
    /// Value.
    pub value: Option<Bytes>,
    /// Headers.
    pub headers: Headers,
    /// Milliseconds since the epoch; none lets the log set it.
    pub timestamp: Option<i64>,
}

impl Output {
    /// Bytes of key, value and headers: what size caps count.
    pub fn size(&self) -> usize {
        size(&self.key, &self.value, &self.headers)
    }
}

impl Record {
    /// Bytes of key, value and headers.
    pub fn size(&self) -> usize {
        size(&self.key, &self.value, &self.headers)
    }
}

fn size(key: &Option<Bytes>, value: &Option<Bytes>, headers: &Headers) -> usize {
    let len = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    let headers: usize = headers.iter().map(|(name, value)| name.len() + len(value)).sum();
    len(key) + len(value) + headers
}

/// Counts assignments: a completion of an older epoch is dropped, even if the partition came back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Epoch(pub u64);

/// What arrives.
#[derive(Debug)]
pub enum Delivery {
    /// A partition is ours, starting at `progress.base`.
    Assigned(Assignment),
    /// Records, in offset order within each partition; never empty.
    Records(Vec<Record>),
    /// A partition must be given up: finish what runs, commit, then [`LogReader::release`].
    Revoked(Revocation),
    /// A partition was taken away: drop everything of it, no commit.
    Lost(TopicPartition, Epoch),
}

/// A partition is ours.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The partition.
    pub at: TopicPartition,
    /// Of this assignment.
    pub epoch: Epoch,
    /// What was committed last; a fresh one at the resolved start when nothing was.
    pub progress: Progress,
    /// False when this group never committed here: the start was resolved from `from`.
    pub resumed: bool,
    /// One past the newest record when it was assigned.
    pub end: i64,
    /// Set as soon as the log knows that the partition is somebody else's, before it is delivered: what runs of it asks
    /// for nothing more.
    pub tenure: Arc<Halt>,
}

/// A partition must be given up.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// The partition.
    pub at: TopicPartition,
    /// Of the assignment that ends.
    pub epoch: Epoch,
}

/// What is written together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Records, in completion order.
    pub outputs: Vec<Output>,
    /// New progress of every partition that an output's event came from.
    pub progress: Vec<(TopicPartition, Epoch, Progress)>,
}

/// The group membership at one moment. Taken *before* the events of a batch are filtered by ownership, so that a
/// partition which left in between makes the commit fail instead of passing unseen (R5).
pub struct Fence(pub Box<dyn Any + Send>);

/// Where a group that never committed starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The oldest record kept.
    Earliest,
    /// Only what comes after the first start.
    Latest,
    /// The first record at or after this time, milliseconds since the epoch.
    Time(i64),
}

/// What to do when a committed progress record can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnCorruptProgress {
    /// Leave the partition alone, with an error that names it.
    #[default]
    Fail,
    /// Take the committed offset alone: finished events above it run again.
    Replay,
}

/// Whether outputs and progress are one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Guarantee {
    /// One transaction.
    #[default]
    ExactlyOnce,
    /// Outputs first, then progress.
    AtLeastOnce,
}

/// How to join a consumer group.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Group.
    pub group: Arc<str>,
    /// Name of this instance, unique in the group and stable over restarts.
    pub instance: Arc<str>,
    /// Topics to read, each with the start of a group that never committed.
    pub topics: Vec<(Arc<str>, From)>,
    /// Transactional or not.
    pub guarantee: Guarantee,
    /// What to do about an unreadable progress record.
    pub on_corrupt_progress: OnCorruptProgress,
}

/// A topic as it is, or as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Name.
    pub name: Arc<str>,
    /// Number of partitions.
    pub partitions: i32,
    /// Settings by their Kafka names, such as `retention.ms`.
    pub config: Vec<(String, String)>,
}

/// Partitions that records were written to, each with one past the highest offset among them.
pub type Ends = Vec<(TopicPartition, i64)>;

/// The offsets that a partition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The partition.
    pub at: TopicPartition,
    /// First offset kept.
    pub low: i64,
    /// One past the last committed record.
    pub high: i64,
}

/// One log.
#[async_trait]
pub trait Log: Send + Sync {
    /// `kafka` or `local`.
    fn name(&self) -> &'static str;
    /// Identity of the cluster or file, part of every event id.
    async fn cluster(&self) -> Result<Arc<str>, StreamError>;
    /// Topics that exist; internal ones left out.
    async fn topics(&self) -> Result<Vec<Topic>, StreamError>;
    /// Creates topics; one that exists already is left as it is.
    async fn create(&self, topics: &[Topic]) -> Result<(), StreamError>;
    /// The offsets that a topic holds now; empty when the topic does not exist.
    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, StreamError>;
    /// One past the last record of each partition, committed or not: beyond the end of [`Log::extents`] by what stands in
    /// transactions that are open. A log without such has nothing to add.
    async fn written(&self, topic: &str) -> Result<Vec<(TopicPartition, i64)>, StreamError> {
        let extents = self.extents(topic).await?;
        Ok(extents.into_iter().map(|extent| (extent.at, extent.high)).collect())
    }
    /// What a group committed for a topic's partitions.
    async fn committed(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<Vec<(i32, Progress)>, StreamError>;
    /// Writes records outside any group and any transaction: what a producer does. `Ok` means they are durable, in their
    /// order within each partition; it says where.
    async fn send(&self, outputs: Vec<Output>) -> Result<Ends, StreamError>;
    /// Reads the committed records of one partition without a group, from that offset or the first one kept above it.
    async fn read(&self, at: &TopicPartition, from: i64) -> Result<Box<dyn Follower>, StreamError>;
    /// Reads committed records without a group.
    async fn follow(&self, topic: &str, from: From) -> Result<Box<dyn Follower>, StreamError>;
    /// Becomes a member of a group: reader and writer are separate handles.
    async fn join(
        &self,
        membership: Membership,
    ) -> Result<(Box<dyn LogReader>, Box<dyn LogWriter>), StreamError>;
}

/// A group member's reading side.
#[async_trait]
pub trait LogReader: Send {
    /// Waits for the next delivery.
    async fn next(&mut self) -> Result<Delivery, StreamError>;
    /// Stops (or lets flow again) deliveries of a partition; heartbeats go on.
    fn pause(&mut self, at: &TopicPartition, paused: bool);
    /// Ends a drain: the partition may go to another member. An older epoch is ignored.
    fn release(&mut self, at: &TopicPartition, epoch: Epoch);
    /// Leaves the group: everything still assigned is given up. Returns when the log knows it, or after `within`.
    async fn close(&mut self, within: Duration) -> Result<(), StreamError>;
}

/// A group member's writing side: the only door that writes outputs.
#[async_trait]
pub trait LogWriter: Send {
    /// The membership now.
    fn fence(&self) -> Fence;
    /// Writes the batch whole or not at all. `Ok` means it is durable and visible; an error says what to do. An
    /// outcome that is in doubt is decided inside, by the sequence numbers in the committed progress (R7, R8).
    async fn commit(&mut self, fence: Fence, batch: &Arc<Batch>) -> Result<(), CommitError>;
}

/// Reads a topic without a group.
#[async_trait]
pub trait Follower: Send {
    /// Committed records as they come; empty when none came within `wait`.
    async fn next(&mut self, wait: Duration) -> Result<Vec<Record>, StreamError>;
    /// Whether everything that stood in the topic when it was opened has been delivered.
    fn caught_up(&self) -> bool;
}

/// A failure of the log itself.
#[derive(Debug)]
pub struct StreamError {
    /// What to do about it.
    pub kind: StreamErrorKind,
    /// One sentence that names topic, partition or setting.
    pub message: String,
}

/// What to do about a failure of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamErrorKind {
    /// It is not reachable now: wait, with back-off.
    Unavailable,
    /// A topic that must exist does not.
    UnknownTopic,
    /// Refused by the access rules.
    Denied,
    /// A committed progress record can't be read.
    CorruptProgress,
    /// A setting it does not take.
    Setting,
    /// It can't go on: leave, with the reason.
    Fatal,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StreamError {}

/// A batch that was not written.
#[derive(Debug)]
pub struct CommitError {
    /// What to do about it.
    pub kind: CommitErrorKind,
    /// One sentence.
    pub message: String,
}

/// What to do about a batch that was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitErrorKind {
    /// Some output can never be written (too large, no such topic, invalid): find it. The index, when known.
    Unwritable(Option<usize>),
    /// The membership changed: wait for the rebalance to be delivered, filter again, try again.
    Stale,
    /// Try again, with back-off.
    Transient,
    /// Another process runs with this instance's name: leave, with the reason.
    Fenced,
    /// It can't go on: leave, with the reason.
    Fatal,
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommitError {}
