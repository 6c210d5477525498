//! Order per key: at most one event of a key in flight, the others wait in line. Pure, no clock, no I/O.
//!
//! A lane belongs to one assignment of one partition, so that an event of an assignment that ended can't let one of the
//! next assignment start. Records without a key, and all records of an unordered source, have no lane: they never wait.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::stream::{Epoch, TopicPartition};

#[cfg(test)]
mod tests;

/// Where an event waits its turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The partition it came from.
    pub at: TopicPartition,
    /// Of the assignment.
    pub epoch: Epoch,
    /// Its key; none when it has none, or when its source is unordered.
    pub key: Option<Bytes>,
}

/// What to do with an event that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival<T> {
    /// Start it now.
    Start(T),
    /// It waits; [`Lanes::finish`] will return it.
    Queued,
    /// There is no place for it to wait: hold it, pause the partition, offer it again later.
    Full(T),
}

/// The lanes of one group member.
#[derive(Debug)]
pub struct Lanes<T> {
    /// A lane is here while one of its events is in flight; what waits stands in its queue.
    busy: HashMap<Lane, VecDeque<T>>,
    waiting: usize,
    depth: usize,
    capacity: usize,
}

impl<T> Lanes<T> {
    /// At most `depth` events wait in one lane, at most `capacity` in all.
    pub fn new(depth: usize, capacity: usize) -> Lanes<T> {
        Lanes { busy: HashMap::new(), waiting: 0, depth, capacity }
    }

    /// An event arrived.
    pub fn arrive(&mut self, lane: &Lane, item: T) -> Arrival<T> {
        if lane.key.is_none() {
            return Arrival::Start(item);
        }
        let Some(queue) = self.busy.get_mut(lane) else {
            self.busy.insert(lane.clone(), VecDeque::new());
            return Arrival::Start(item);
        };
        if queue.len() >= self.depth || self.waiting >= self.capacity {
            return Arrival::Full(item);
        }
        queue.push_back(item);
        self.waiting += 1;
        Arrival::Queued
    }

    /// The event in flight is completed: the next one of its lane, if one waits, is in flight now.
    pub fn finish(&mut self, lane: &Lane) -> Option<T> {
        let next = self.busy.get_mut(lane)?.pop_front();
        match next {
            Some(_) => self.waiting -= 1,
            None => drop(self.busy.remove(lane)),
        }
        next
    }

    /// The partition was given up: takes out what waits, in no order among keys. What is in flight finds no lane.
    pub fn drain(&mut self, at: &TopicPartition, epoch: Epoch) -> Vec<T> {
        let mut dropped = Vec::new();
        self.busy.retain(|lane, queue| {
            let ours = lane.at == *at && lane.epoch == epoch;
            if ours {
                dropped.extend(queue.drain(..));
            }
            !ours
        });
        self.waiting -= dropped.len();
        dropped
    }

    /// Takes out what waits while lanes stay busy until their events in flight finish: what a drain of a revoked
    /// partition starts with.
    pub fn clear_waiting(&mut self, at: &TopicPartition, epoch: Epoch) -> Vec<T> {
        let mut dropped = Vec::new();
        for (lane, queue) in &mut self.busy {
            if lane.at == *at && lane.epoch == epoch {
                dropped.extend(queue.drain(..));
            }
        }
        self.waiting -= dropped.len();
        dropped
    }

    /// Events that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Lanes with an event in flight.
    pub fn busy(&self) -> usize {
        self.busy.len()
    }

    /// The invariants; what is wrong, if anything is.
    pub fn self_check(&self) -> Result<(), String> {
        let waiting: usize = self.busy.values().map(VecDeque::len).sum();
        if waiting != self.waiting || waiting > self.capacity {
            return Err(format!("{waiting} wait, {} counted, {} may", self.waiting, self.capacity));
        }
        if self.busy.iter().any(|(lane, queue)| lane.key.is_none() || queue.len() > self.depth) {
            return Err("a lane without a key or deeper than it may be".to_owned());
        }
        Ok(())
    }
}
