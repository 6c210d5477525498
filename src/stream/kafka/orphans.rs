//! Partitions that nobody has. In a cooperative rebalance a partition that is to move is first taken from its owner, and
//! given to the next one in a second round, which the owner begins. A static member that dies in between and comes back
//! before its session ends is given its seat without a rebalance: the second round never comes, the group is stable, and
//! the partition has no owner until somebody else joins or leaves. Hence every member looks now and then whether all
//! partitions are taken, and has the group balanced again when some are not.
//!
//! A thread of its own looks, with a client that fetches nothing: a broker answers the questions of one connection one
//! after the other, so that the reader's would wait for its fetch each time, half a second for every topic when no records
//! come, and nothing would be read meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::groups::GroupMemberInfo;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::oneshot::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::lookup::Lookup;
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
    /// What was seen before counts for nothing.
    since: Instant,
    due: Instant,
    suspects: Option<BTreeSet<TopicPartition>>,
}

/// A look that is on its way.
pub(super) struct Look {
    begun: Instant,
    seen: Receiver<View>,
    /// None where there was no room for one: such a look has ended.
    thread: Option<JoinHandle<()>>,
}

impl Census {
    pub(super) fn new(now: Instant) -> Self {
        Census { since: now, due: now + SOON, suspects: None }
    }

    /// Partitions came or went.
    pub(super) fn moved(&mut self, now: Instant) {
        *self = Census::new(now);
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// Whether what was seen by a look that began then may be judged: nothing moved meanwhile.
    pub(super) fn holds(&self, begun: Instant) -> bool {
        begun >= self.since
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
        // Nobody wants to know any more: it ends at its next question.
        self.look.take_if(|look| busy || !self.census.holds(look.begun));
        if let Some(mut look) = self.look.take() {
            match look.seen.try_recv() {
                Err(TryRecvError::Empty) => self.look = Some(look),
                told => {
                    // It has told, which is the last that it does.
                    drop(look.thread.map(JoinHandle::join));
                    self.judge(told.unwrap_or(View::Moving));
                }
            }
            return;
        }
        let now = Instant::now();
        if busy || !self.census.is_due(now) {
            return;
        }
        let lookup = Arc::clone(&self.lookup);
        let group = Arc::clone(&self.membership.group);
        let topics = self.membership.topics.iter().map(|(topic, _)| Arc::clone(topic)).collect();
        let (told, seen) = channel();
        let body = move || look(&lookup, &group, topics, told);
        let thread = thread::Builder::new().name("kafka-census".to_owned()).spawn(body).ok();
        self.look = Some(Look { begun: now, seen, thread });
    }

    fn judge(&mut self, view: View) {
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

/// Asks the broker, for as long as somebody wants to know. The groups of a process have their turns: each question has its
/// time from when it is asked.
fn look(lookup: &Lookup, group: &str, topics: Vec<Arc<str>>, told: Sender<View>) {
    let _turn = lookup.turn();
    let mut places = BTreeSet::new();
    for topic in topics {
        if told.is_closed() {
            return;
        }
        let Ok(found) = lookup.places(&topic) else {
            drop(told.send(View::Moving));
            return;
        };
        places.extend(found);
    }
    // Nobody wants it any more when it can't be sent.
    drop(told.send(view(lookup, group, places)));
}

/// Which of `places` have no owner.
fn view(lookup: &Lookup, group: &str, places: BTreeSet<TopicPartition>) -> View {
    let found = lookup.client().and_then(|client| client.fetch_group_list(Some(group), ANSWER));
    let Ok(found) = found else { return View::Moving };
    let Some(stable) = found.groups().iter().find(|one| one.state() == "Stable") else {
        return View::Moving;
    };
    let mut orphans = places;
    for member in stable.members() {
        // One that can't be read may have anything.
        let owned = GroupMemberInfo::assignment(member).unwrap_or_default();
        let Some(owned) = read(owned) else { return View::Moving };
        for place in &owned {
            orphans.remove(place);
        }
    }
    if orphans.is_empty() { View::Whole } else { View::Orphans(orphans) }
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
