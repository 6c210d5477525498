//! A member of a group: its reading side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::group::Group;
use super::log::Shared;
use super::state::State;
use crate::stream::{
    Delivery, Epoch, LogReader, Record, StreamError, StreamErrorKind, TopicPartition,
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
        let together = state.weather.as_mut().map_or(RECORDS, |weather| weather.together());
        let records = self.read(&state, together);
        (!records.is_empty()).then_some(Ok(Delivery::Records(records)))
    }

    fn read(&mut self, state: &State, together: usize) -> Vec<Record> {
        let mut records = Vec::new();
        for (at, position) in self.positions.iter_mut().filter(|(_, position)| !position.paused) {
            let Some(partition) = state.partition(at) else { continue };
            let found = partition.read(position.next, together);
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
            // A rebalance takes a while; under a clear sky nobody asks how long.
            if state.weather.is_none() {
                state.assign(&self.group);
            }
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
        // A process that dies says nothing: its seat is kept until its session ends or its name comes back.
        if self.shared.state().weather.is_some() {
            return self.change(|group| {
                if let Some(member) = group.member(id) {
                    member.silent = Some(Instant::now());
                }
            });
        }
        self.change(|group| group.remove(id));
    }
}
