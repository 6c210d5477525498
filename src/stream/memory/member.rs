//! A member of a group: its reading and its writing side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::group::Group;
use super::log::Shared;
use super::state::State;
use crate::stream::{
    Batch, CommitError, CommitErrorKind, Delivery, Epoch, Fence, LogReader, LogWriter, Record,
    StreamError, StreamErrorKind, TopicPartition,
};

/// Records of one partition in one delivery.
const RECORDS: usize = 500;

/// The reading side. Dropping it is what a crash is: the member is gone.
pub(super) struct Reader {
    shared: Arc<Shared>,
    group: Arc<str>,
    id: u64,
    positions: BTreeMap<TopicPartition, Position>,
}

struct Position {
    next: i64,
    paused: bool,
}

impl Reader {
    /// Of a member that was just added.
    pub fn new(shared: Arc<Shared>, group: Arc<str>, id: u64) -> Reader {
        Reader { shared, group, id, positions: BTreeMap::new() }
    }

    /// What there is now.
    fn look(&mut self) -> Option<Result<Delivery, StreamError>> {
        let shared = self.shared.clone();
        let mut state = shared.state();
        let gone = || StreamError {
            kind: StreamErrorKind::Fatal,
            message: "this member is no longer in its group".to_owned(),
        };
        let Some(member) = state.groups.get_mut(&self.group).and_then(|g| g.member(self.id)) else {
            return Some(Err(gone()));
        };
        if let Some((generation, news)) = member.news.pop_front() {
            member.told = generation;
            match &news {
                Ok(Delivery::Assigned(assignment)) => {
                    let position = Position { next: assignment.progress.base, paused: false };
                    self.positions.insert(assignment.at.clone(), position);
                }
                Ok(Delivery::Revoked(revocation)) => drop(self.positions.remove(&revocation.at)),
                Ok(Delivery::Lost(at, _)) => drop(self.positions.remove(at)),
                Ok(Delivery::Records(_)) | Err(_) => {}
            }
            return Some(news);
        }
        let records = self.read(&state);
        (!records.is_empty()).then_some(Ok(Delivery::Records(records)))
    }

    fn read(&mut self, state: &State) -> Vec<Record> {
        let mut records = Vec::new();
        for (at, position) in self.positions.iter_mut().filter(|(_, position)| !position.paused) {
            let Some(partition) = state.partition(at) else { continue };
            let found = partition.read(position.next, RECORDS);
            if let Some(last) = found.last() {
                position.next = last.offset + 1;
            }
            records.extend(found);
        }
        records
    }

    fn change(&self, change: impl FnOnce(&mut Group)) {
        {
            let mut state = self.shared.state();
            if let Some(group) = state.groups.get_mut(&self.group) {
                change(group);
            }
            state.assign(&self.group);
        }
        self.shared.changed.notify_waiters();
    }
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self) -> Result<Delivery, StreamError> {
        let shared = self.shared.clone();
        loop {
            let changed = shared.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if let Some(delivery) = self.look() {
                return delivery;
            }
            changed.await;
        }
    }

    fn pause(&mut self, at: &TopicPartition, paused: bool) {
        if let Some(position) = self.positions.get_mut(at) {
            position.paused = paused;
        }
    }

    fn release(&mut self, at: &TopicPartition, epoch: Epoch) {
        let id = self.id;
        let mut released = false;
        self.change(|group| {
            let before = group.generation;
            group.release(id, at, epoch);
            released = group.generation != before;
        });
        if released {
            self.positions.remove(at);
        }
    }

    async fn close(&mut self, _within: Duration) -> Result<(), StreamError> {
        let id = self.id;
        self.positions.clear();
        self.change(|group| group.remove(id));
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let id = self.id;
        self.change(|group| group.remove(id));
    }
}

/// The writing side.
pub(super) struct Committer {
    shared: Arc<Shared>,
    group: Arc<str>,
    id: u64,
}

impl Committer {
    /// Of a member that was just added.
    pub fn new(shared: Arc<Shared>, group: Arc<str>, id: u64) -> Committer {
        Committer { shared, group, id }
    }

    fn write(&self, generation: Option<u64>, batch: &Batch) -> Result<(), CommitError> {
        let mut state = self.shared.state();
        let refuse = |kind, message: String| Err(CommitError { kind, message });
        if let Some(kind) = state.failures.pop_front() {
            return refuse(kind, "this commit was told to fail".to_owned());
        }
        let Some(group) = state.groups.get(&self.group) else {
            return refuse(CommitErrorKind::Fatal, "there is no such group".to_owned());
        };
        if group.known_generation(self.id).is_none() {
            let message = "this member is no longer in its group".to_owned();
            return refuse(CommitErrorKind::Fenced, message);
        }
        if generation != Some(group.generation) {
            let message = "the group has changed since the fence was taken".to_owned();
            return refuse(CommitErrorKind::Stale, message);
        }
        for (at, epoch, progress) in &batch.progress {
            // A fence of this generation was taken by a member that knew better: a defect of the caller, made loud.
            let owner = group.owners.get(at);
            if !owner.is_some_and(|owner| owner.member == self.id && owner.epoch == *epoch) {
                let message = format!("{at} is committed under an assignment that has ended");
                return refuse(CommitErrorKind::Fatal, message);
            }
            if group.committed.get(at).is_some_and(|(base, _)| *base > progress.base) {
                return refuse(CommitErrorKind::Fatal, format!("the base of {at} moved back"));
            }
        }
        if let Some((index, error)) = state.unwritable(&batch.outputs) {
            return refuse(CommitErrorKind::Unwritable(Some(index)), error.message);
        }
        state.append(batch.outputs.clone(), self.shared.clock.now());
        if let Some(group) = state.groups.get_mut(&self.group) {
            for (at, _, progress) in &batch.progress {
                group.committed.insert(at.clone(), (progress.base, progress.encode()));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl LogWriter for Committer {
    fn fence(&self) -> Fence {
        let state = self.shared.state();
        let group = state.groups.get(&self.group);
        Fence(Box::new(group.and_then(|group| group.known_generation(self.id))))
    }

    async fn commit(&mut self, fence: Fence, batch: &Batch) -> Result<(), CommitError> {
        let takes = self.shared.state().commit_takes;
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let generation = fence.0.downcast_ref::<Option<u64>>().copied().flatten();
        self.write(generation, batch)?;
        self.shared.changed.notify_waiters();
        Ok(())
    }
}
