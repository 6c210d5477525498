//! Partitions that nobody has. In a cooperative rebalance a partition that is to move is first taken from its owner, and
//! given to the next one in a second round, which the owner begins. A static member that dies in between and comes back
//! before its session ends is given its seat without a rebalance: the second round never comes, the group is stable, and
//! the partition has no owner until somebody else joins or leaves. Hence every member looks now and then whether all
//! partitions are taken, and has the group balanced again when some are not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::groups::GroupMemberInfo;
use tokio::time::Instant;

use super::member::MemberConsumer;
use super::poll::Poll;
use crate::stream::TopicPartition;

#[cfg(test)]
mod tests;

/// After a rebalance, and while there is something to be sure of.
const SOON: Duration = Duration::from_secs(3);
/// While all is well.
const LATER: Duration = Duration::from_secs(60);
/// A group that was asked to balance itself has this long before it is looked at again.
const BALANCING: Duration = Duration::from_secs(15);
/// Of one question to the broker.
const ANSWER: Duration = Duration::from_secs(2);

/// What the group looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Every partition has an owner.
    Whole,
    /// It is being balanced, or can't be asked.
    Moving,
    /// Nobody has these.
    Orphans(BTreeSet<TopicPartition>),
}

/// When to look, and what to make of it.
pub(super) struct Census {
    due: Instant,
    suspects: Option<BTreeSet<TopicPartition>>,
}

impl Census {
    pub(super) fn new(now: Instant) -> Self {
        Census { due: now + SOON, suspects: None }
    }

    /// Partitions came or went.
    pub(super) fn moved(&mut self, now: Instant) {
        *self = Census::new(now);
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// Whether the group is to be balanced again: the same partitions had no owner when it was looked at before, too.
    pub(super) fn judge(&mut self, view: View, now: Instant) -> bool {
        let before = self.suspects.take();
        let (wait, balance) = match view {
            View::Whole => (LATER, false),
            View::Moving => (SOON, false),
            View::Orphans(orphans) if before.as_ref() == Some(&orphans) => (BALANCING, true),
            View::Orphans(orphans) => {
                self.suspects = Some(orphans);
                (SOON, false)
            }
        };
        self.due = now + wait;
        balance
    }
}

impl Poll {
    /// Has the group balanced again when partitions have no owner.
    pub(super) fn look_for_orphans(&mut self) {
        let busy = self.draining.is_some() || self.after.is_some() || self.shared.closing();
        if busy || !self.census.is_due(Instant::now()) {
            return;
        }
        let topics = self.membership.topics.iter().map(|(topic, _)| Arc::clone(topic));
        let view = match counts(&self.consumer, topics) {
            Some(counts) => view(&self.consumer, &self.membership.group, &counts),
            None => View::Moving,
        };
        if view == View::Whole && self.stirred {
            self.stirred = self.subscribe(None).is_err();
        }
        let told = format!("{view:?}");
        if self.census.judge(view, Instant::now()) {
            let group = &*self.membership.group;
            tracing::warn!(
                target: "vivremotion::kafka", group, orphans = told,
                "partitions have no owner, having the group balanced again"
            );
            // The client joins again when its subscription needs metadata that it has not got.
            self.stirred = self.subscribe(Some(&format!("{group}.nobody"))).is_ok();
        }
    }

    fn subscribe(&self, more: Option<&str>) -> Result<(), KafkaError> {
        let topics = self.membership.topics.iter().map(|(topic, _)| &**topic);
        let names: Vec<&str> = topics.chain(more).collect();
        self.consumer.subscribe(&names)
    }
}

/// Asks the broker.
fn view(consumer: &MemberConsumer, group: &str, topics: &[(Arc<str>, i32)]) -> View {
    let Ok(found) = consumer.fetch_group_list(Some(group), ANSWER) else { return View::Moving };
    let Some(stable) = found.groups().iter().find(|one| one.state() == "Stable") else {
        return View::Moving;
    };
    let owned = stable.members().iter().map(|member| GroupMemberInfo::assignment(member));
    let mut orphans: BTreeSet<TopicPartition> = topics
        .iter()
        .flat_map(|(topic, count)| {
            (0..*count).map(|partition| TopicPartition { topic: Arc::clone(topic), partition })
        })
        .collect();
    for assignment in owned {
        // One that can't be read may have anything.
        let Some(places) = read(assignment.unwrap_or_default()) else { return View::Moving };
        orphans.retain(|orphan| !places.contains(orphan));
    }
    if orphans.is_empty() { View::Whole } else { View::Orphans(orphans) }
}

/// How many partitions each topic has; none when it can't be told.
fn counts(
    consumer: &MemberConsumer,
    topics: impl Iterator<Item = Arc<str>>,
) -> Option<Vec<(Arc<str>, i32)>> {
    let count = |topic: Arc<str>| {
        let found = consumer.fetch_metadata(Some(&topic), ANSWER).ok()?;
        let partitions = found.topics().first()?.partitions().len();
        Some((topic, i32::try_from(partitions).ok()?))
    };
    topics.map(count).collect()
}

/// An assignment of the consumer protocol: version, then topics with their partitions; nothing is the empty one.
/// (<https://kafka.apache.org/protocol#The_Messages_ConsumerProtocolAssignment>)
fn read(bytes: &[u8]) -> Option<Vec<TopicPartition>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let mut rest = bytes.get(2..)?;
    let mut places = Vec::new();
    for _ in 0..number(&mut rest)? {
        let (length, after) = rest.split_first_chunk()?;
        let (name, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let topic: Arc<str> = std::str::from_utf8(name).ok()?.into();
        rest = after;
        for _ in 0..number(&mut rest)? {
            let partition = number(&mut rest)?;
            places.push(TopicPartition { topic: Arc::clone(&topic), partition });
        }
    }
    Some(places)
}

fn number(rest: &mut &[u8]) -> Option<i32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i32::from_be_bytes(*number))
}
