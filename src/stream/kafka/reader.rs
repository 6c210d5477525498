//! The reading side of a member: a queue from the thread that polls.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;

use super::config::KafkaConfig;
use super::fault;
use super::lookup::Lookup;
use super::member::{Shared, subscribe};
use super::outlet::{Delivered, Outlet};
use super::poll::{After, Poll};
use crate::stream::{
    Delivery, Epoch, LogReader, Membership, Record, StreamError, StreamErrorKind, TopicPartition,
};

/// Deliveries between the thread and `next`: batches of up to 512 records or about 1 MiB.
const QUEUE: usize = 8;

/// Reads for a group member.
pub struct KafkaReader {
    incoming: Receiver<Delivered>,
    shared: Arc<Shared>,
    /// Deliveries of these wait here: what was under way when they were paused.
    paused: HashSet<TopicPartition>,
    held: HashMap<TopicPartition, Vec<Record>>,
    thread: Option<JoinHandle<()>>,
    /// Resolves when the thread has left the group.
    left: Option<oneshot::Receiver<()>>,
}

impl KafkaReader {
    /// Joins the group. Returns when the client exists; the first assignment comes through `next`.
    pub(super) async fn join(
        config: &KafkaConfig,
        membership: Membership,
        lookup: Arc<Lookup>,
        shared: Arc<Shared>,
    ) -> Result<Self, StreamError> {
        let (sender, incoming) = channel(QUEUE);
        let (leave, left) = oneshot::channel();
        let (started, start) = oneshot::channel();
        let client = config.member(&membership.group, &membership.instance);
        let times = config.times();
        let common = shared.clone();
        let body = move || {
            common.runs_on(thread::current());
            let topics: Vec<Arc<str>> =
                membership.topics.iter().map(|(topic, _)| topic.clone()).collect();
            let mut outlet = Outlet::new(sender);
            let mut started = Some(started);
            loop {
                let consumer = match subscribe(&client, &topics, &common) {
                    Ok(consumer) => consumer,
                    Err(error) => {
                        let error = fault::stream_error("joining the group", &error);
                        match started.take() {
                            Some(started) => {
                                let _ = started.send(Err(error));
                            }
                            None => outlet.deliver(Err(error)),
                        }
                        break;
                    }
                };
                if let Some(started) = started.take() {
                    let _ = started.send(Ok(()));
                }
                let (membership, lookup) = (membership.clone(), Arc::clone(&lookup));
                let poll = Poll::new(consumer, membership, times, common.clone(), lookup, outlet);
                let (after, carried) = poll.run();
                outlet = carried;
                if after == After::Stop {
                    break;
                }
            }
            outlet.send();
            // Nobody waits when the reader was dropped.
            let _ = leave.send(());
        };
        let thread =
            thread::Builder::new().name("kafka-poll".to_owned()).spawn(body).map_err(|error| {
                StreamError {
                    kind: StreamErrorKind::Fatal,
                    message: format!("no thread for reading: {error}"),
                }
            })?;
        let reader = KafkaReader {
            incoming,
            shared,
            paused: HashSet::new(),
            held: HashMap::new(),
            thread: Some(thread),
            left: Some(left),
        };
        match start.await {
            Ok(result) => result.map(|()| reader),
            Err(_) => Err(gone()),
        }
    }

    /// Records that were held while their partition was paused.
    fn freed(&mut self) -> Option<Vec<Record>> {
        let at = self.held.keys().find(|at| !self.paused.contains(at)).cloned()?;
        self.held.remove(&at)
    }

    fn hold(&mut self, records: Vec<Record>) -> Vec<Record> {
        if self.paused.is_empty() {
            return records;
        }
        let mut flowing = Vec::with_capacity(records.len());
        for record in records {
            if self.paused.contains(&record.at) {
                self.held.entry(record.at.clone()).or_default().push(record);
            } else {
                flowing.push(record);
            }
        }
        flowing
    }

    fn forget(&mut self, at: &TopicPartition) {
        self.paused.remove(at);
        self.held.remove(at);
    }
}

#[async_trait]
impl LogReader for KafkaReader {
    async fn next(&mut self) -> Result<Delivery, StreamError> {
        loop {
            if let Some(records) = self.freed() {
                return Ok(Delivery::Records(records));
            }
            let Some(delivery) = self.incoming.recv().await else { return Err(gone()) };
            if self.shared.waiting.swap(false, Ordering::SeqCst) {
                self.shared.wake();
            }
            match delivery? {
                Delivery::Records(records) => {
                    let records = self.hold(records);
                    if !records.is_empty() {
                        return Ok(Delivery::Records(records));
                    }
                }
                Delivery::Assigned(assignment) => {
                    self.forget(&assignment.at);
                    return Ok(Delivery::Assigned(assignment));
                }
                Delivery::Revoked(revocation) => {
                    self.held.remove(&revocation.at);
                    return Ok(Delivery::Revoked(revocation));
                }
                Delivery::Lost(at, epoch) => {
                    self.forget(&at);
                    return Ok(Delivery::Lost(at, epoch));
                }
            }
        }
    }

    fn pause(&mut self, at: &TopicPartition, paused: bool) {
        if paused {
            self.paused.insert(at.clone());
        } else {
            self.paused.remove(at);
        }
        self.shared.pause(at, paused);
    }

    fn release(&mut self, at: &TopicPartition, epoch: Epoch) {
        self.shared.release(at, epoch);
    }

    async fn close(&mut self, within: Duration) -> Result<(), StreamError> {
        self.shared.close();
        // Room for whatever the thread still wants to say.
        self.incoming.close();
        let Some(left) = self.left.take() else { return Ok(()) };
        if tokio::time::timeout(within, left).await.is_err() {
            return Err(StreamError {
                kind: StreamErrorKind::Unavailable,
                message: format!("the group was not left within {within:?}"),
            });
        }
        if let Some(thread) = self.thread.take() {
            // It has said that it is done.
            drop(thread.join());
        }
        Ok(())
    }
}

impl Drop for KafkaReader {
    /// The thread leaves the group by itself; nobody waits for it here.
    fn drop(&mut self) {
        self.shared.close();
    }
}

fn gone() -> StreamError {
    StreamError { kind: StreamErrorKind::Fatal, message: "the group was left".to_owned() }
}
