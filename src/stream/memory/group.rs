//! Consumer groups: who reads which partition, and what was committed. Kafka's rules in small.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::state::State;
use crate::stream::{
    Assignment, Delivery, Epoch, From, OnCorruptProgress, Progress, Revocation, StreamError,
    StreamErrorKind, TopicPartition,
};

/// A group.
#[derive(Default)]
pub(super) struct Group {
    /// Grows with each change of members or assignments.
    pub generation: u64,
    /// In the order in which they came.
    pub members: Vec<Member>,
    pub owners: BTreeMap<TopicPartition, Owner>,
    /// The committed offset and its metadata.
    pub committed: BTreeMap<TopicPartition, (i64, String)>,
    /// The same in transactions under way, each with its number: whoever asks for stable offsets must wait.
    pub pending: BTreeMap<TopicPartition, Vec<(u64, i64, String)>>,
    /// What no history of a sound member shows.
    pub defects: Vec<String>,
}

/// Who has a partition.
pub(super) struct Owner {
    pub member: u64,
    pub epoch: Epoch,
    /// It was asked for; no more records of it are delivered.
    pub revoked: bool,
}

/// A member.
pub(super) struct Member {
    pub id: u64,
    pub instance: Arc<str>,
    pub topics: Vec<(Arc<str>, From)>,
    pub on_corrupt: OnCorruptProgress,
    /// What it is to be told, each with the generation that it belongs to.
    pub news: VecDeque<(u64, Result<Delivery, StreamError>)>,
    /// The generation of what it was told last.
    pub told: u64,
    /// Since when nothing is heard of it; its seat is kept for a session.
    pub silent: Option<Instant>,
}

impl Group {
    /// The member of that id, if it is still one.
    pub fn member(&mut self, id: u64) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    /// Whether that member is one.
    pub fn has(&self, id: u64) -> bool {
        self.members.iter().any(|member| member.id == id)
    }

    /// The generation that a member knows of.
    pub fn known_generation(&self, id: u64) -> Option<u64> {
        let member = self.members.iter().find(|member| member.id == id)?;
        Some(if member.news.is_empty() { self.generation } else { member.told })
    }

    fn tell(&mut self, id: u64, news: Result<Delivery, StreamError>) {
        let generation = self.generation;
        if let Some(member) = self.member(id) {
            member.news.push_back((generation, news));
        }
    }

    /// Asks for a partition.
    pub fn revoke(&mut self, at: &TopicPartition) {
        let Some(owner) = self.owners.get_mut(at).filter(|owner| !owner.revoked) else { return };
        owner.revoked = true;
        let (member, epoch) = (owner.member, owner.epoch);
        self.generation += 1;
        self.tell(member, Ok(Delivery::Revoked(Revocation { at: at.clone(), epoch })));
    }

    /// Takes a partition.
    pub fn lose(&mut self, at: &TopicPartition) {
        let Some(Owner { member, epoch, .. }) = self.owners.remove(at) else { return };
        self.generation += 1;
        self.tell(member, Ok(Delivery::Lost(at.clone(), epoch)));
    }

    /// The session of a member ran out: all it has is taken, and it joins again at once.
    pub fn expire(&mut self, instance: &str) {
        let Some(id) = self.members.iter().find(|m| &*m.instance == instance).map(|m| m.id) else {
            return;
        };
        let held = self.owners.iter().filter(|(_, owner)| owner.member == id);
        let held: Vec<TopicPartition> = held.map(|(at, _)| at.clone()).collect();
        self.generation += 1;
        held.iter().for_each(|at| self.lose(at));
    }

    /// Removes members that have been silent for a session.
    pub fn bury(&mut self, now: Instant, session: Duration) {
        let dead = |member: &&Member| {
            member.silent.is_some_and(|since| now.duration_since(since) >= session)
        };
        let dead: Vec<u64> = self.members.iter().filter(dead).map(|member| member.id).collect();
        dead.into_iter().for_each(|id| self.remove(id));
    }

    /// A transaction ended. Says whether offsets of this group were in it.
    pub fn end(&mut self, number: u64, commit: bool) -> bool {
        let mut found = false;
        for (at, pending) in &mut self.pending {
            let ended = pending.iter().rposition(|(of, _, _)| *of == number);
            let Some((_, base, text)) = ended.map(|last| pending[last].clone()) else { continue };
            found = true;
            pending.retain(|(of, _, _)| *of != number);
            if commit {
                let before = self.committed.insert(at.clone(), (base, text));
                if before.is_some_and(|(before, _)| before > base) {
                    self.defects.push(format!("the base of {at} moved back to {base}"));
                }
            }
        }
        self.pending.retain(|_, pending| !pending.is_empty());
        found
    }

    /// A partition was given up by who has it.
    pub fn release(&mut self, id: u64, at: &TopicPartition, epoch: Epoch) {
        if self.owners.get(at).is_some_and(|owner| owner.member == id && owner.epoch == epoch) {
            self.owners.remove(at);
            self.generation += 1;
        }
    }

    /// A member is gone.
    pub fn remove(&mut self, id: u64) {
        if self.has(id) {
            self.members.retain(|member| member.id != id);
            self.owners.retain(|_, owner| owner.member != id);
            self.generation += 1;
        }
    }
}

impl State {
    /// Gives every partition that nobody has to the member with the fewest.
    pub fn assign(&mut self, name: &Arc<str>) {
        let State { topics, groups, epochs, .. } = self;
        let Some(group) = groups.get_mut(name) else { return };
        for held in topics.values() {
            for (at, partition) in held.numbered() {
                // Offsets in a transaction under way are not read: who gets the partition waits for its end.
                if group.owners.contains_key(&at) || group.pending.contains_key(&at) {
                    continue;
                }
                let load = |id| group.owners.values().filter(|owner| owner.member == id).count();
                let candidates = group.members.iter().filter_map(|member| {
                    let (_, from) = member.topics.iter().find(|(topic, _)| *topic == at.topic)?;
                    Some((member.id, *from, member.on_corrupt))
                });
                let Some((id, from, on_corrupt)) = candidates.min_by_key(|(id, ..)| load(*id))
                else {
                    continue;
                };
                group.generation += 1;
                let resumed = group.committed.contains_key(&at);
                // A start is resolved once: `latest` must not skip what comes between a first start and a crash.
                let (base, text) = group.committed.entry(at.clone()).or_insert_with(|| {
                    let progress = Progress::starting_at(partition.resolve(from));
                    (progress.base, progress.encode())
                });
                let progress = match Progress::decode(*base, text) {
                    Err(_) if on_corrupt == OnCorruptProgress::Replay => {
                        Ok(Progress::known_by_offset(*base))
                    }
                    read => read,
                };
                let news = match progress {
                    Ok(progress) => {
                        *epochs += 1;
                        let epoch = Epoch(*epochs);
                        group
                            .owners
                            .insert(at.clone(), Owner { member: id, epoch, revoked: false });
                        let end = partition.stable();
                        Ok(Delivery::Assigned(Assignment {
                            at,
                            epoch,
                            progress,
                            resumed,
                            end,
                            tenure: Arc::default(),
                        }))
                    }
                    Err(error) => Err(StreamError {
                        kind: StreamErrorKind::CorruptProgress,
                        message: format!(
                            "the progress of group `{name}` in {at} can't be read: {error}"
                        ),
                    }),
                };
                group.tell(id, news);
            }
        }
    }
}
