//! One client for questions that need no group: which topics there are, and where their partitions begin and end.
//!
//! It never makes a topic by asking for it: a producer would, wherever brokers allow it, and a misspelt name would
//! become a topic.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::config::KafkaConfig;
use super::fault;
use super::offsets::{self, CALL};
use crate::stream::{
    CommitError, CommitErrorKind, Extent, Output, StreamError, StreamErrorKind, TopicPartition,
};

/// A client that asks questions. Every method blocks.
pub(super) struct Lookup {
    config: KafkaConfig,
    client: Mutex<Option<Arc<BaseConsumer>>>,
    /// Sees what is written, committed or not.
    open: Mutex<Option<Arc<BaseConsumer>>>,
    /// Topics that were seen, with their number of partitions.
    known: Mutex<HashMap<Arc<str>, i32>>,
    /// Of those who have many questions.
    turn: Mutex<()>,
}

impl Lookup {
    pub(super) fn new(config: KafkaConfig) -> Self {
        let (client, open, known, turn) = Default::default();
        Lookup { config, client, open, known, turn }
    }

    /// Waits until nobody else has many questions.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.turn)
    }

    /// Sees what is committed.
    pub(super) fn client(&self) -> Result<Arc<BaseConsumer>, KafkaError> {
        kept(&self.client, || self.config.lookup())
    }

    /// Sees what is written, committed or not.
    pub(super) fn open(&self) -> Result<Arc<BaseConsumer>, KafkaError> {
        kept(&self.open, || self.config.uncommitted())
    }

    pub(super) fn cluster(&self) -> Result<Arc<str>, StreamError> {
        let doing = "asking for the cluster's id";
        let client = self.client().map_err(|error| fault::stream_error(doing, &error))?;
        client.client().fetch_cluster_id(CALL).map(Arc::from).ok_or_else(|| StreamError {
            kind: StreamErrorKind::Unavailable,
            message: format!("no broker of `{}` answers", self.config.brokers),
        })
    }

    /// Names and numbers of partitions of all topics but the internal ones.
    pub(super) fn topics(&self) -> Result<Vec<(Arc<str>, i32)>, StreamError> {
        let metadata = self
            .client()
            .and_then(|client| client.fetch_metadata(None, CALL))
            .map_err(|error| fault::stream_error("listing topics", &error))?;
        let topics = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
        Ok(topics.map(|topic| (Arc::from(topic.name()), topic.partitions().len() as i32)).collect())
    }

    /// Number of partitions; none when there is no such topic.
    pub(super) fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError> {
        if topic.is_empty() {
            return Ok(None);
        }
        let metadata = self.client()?.fetch_metadata(Some(topic), CALL)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(Some(found.partitions().len() as i32)),
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::InvalidTopic,
            ) => Ok(None),
            Some(_) if !found.partitions().is_empty() => Ok(Some(found.partitions().len() as i32)),
            Some(code) => Err(KafkaError::MetadataFetch(code)),
        }
    }

    pub(super) fn places(&self, topic: &str) -> Result<Vec<TopicPartition>, StreamError> {
        let count = self
            .partitions(topic)
            .map_err(|error| fault::stream_error(&format!("asking for topic `{topic}`"), &error))?;
        let name: Arc<str> = Arc::from(topic);
        Ok((0..count.unwrap_or(0))
            .map(|partition| TopicPartition { topic: name.clone(), partition })
            .collect())
    }

    pub(super) fn extents(&self, topic: &str) -> Result<Vec<Extent>, StreamError> {
        let places = self.places(topic)?;
        let refs: Vec<&TopicPartition> = places.iter().collect();
        let edges = self.client().and_then(|client| {
            Ok((offsets::lows(&*client, &refs)?, offsets::ends(&*client, &refs)?))
        });
        let (lows, ends) =
            edges.map_err(|error| fault::stream_error(&format!("asking for `{topic}`"), &error))?;
        let edges = lows.into_iter().zip(ends);
        Ok(places
            .into_iter()
            .zip(edges)
            .map(|(at, (low, high))| Extent { at, low, high })
            .collect())
    }

    /// Whether it is known that every output has a place to go to. Asks nobody.
    pub(super) fn knows(&self, outputs: &[Output]) -> bool {
        let known = lock(&self.known);
        let has_room = |output: &Output| known.get(&output.topic).is_some_and(|n| fits(output, *n));
        outputs.iter().all(has_room)
    }

    /// Whether every output has a place to go to.
    pub(super) fn writable(&self, outputs: &[Output]) -> Result<(), CommitError> {
        if self.knows(outputs) {
            return Ok(());
        }
        for (index, output) in outputs.iter().enumerate() {
            if self.knows(std::slice::from_ref(output)) {
                continue;
            }
            let found = self.partitions(&output.topic).map_err(|error| {
                let doing = format!("asking for topic `{}`", output.topic);
                let message = fault::stream_error(&doing, &error).message;
                CommitError { kind: CommitErrorKind::Transient, message }
            })?;
            if let Some(count) = found {
                lock(&self.known).insert(output.topic.clone(), count);
            }
            let missing = match found {
                Some(count) if fits(output, count) => continue,
                Some(count) => format!(
                    "topic `{}` has {count} partitions, a record is for partition {}",
                    output.topic,
                    output.partition.unwrap_or(0)
                ),
                None => format!("there is no topic `{}`", output.topic),
            };
            return Err(CommitError {
                kind: CommitErrorKind::Unwritable(Some(index)),
                message: missing,
            });
        }
        Ok(())
    }

    /// Forgets what was seen.
    pub(super) fn forget(&self) {
        lock(&self.known).clear();
    }
}

/// Whether a topic of so many partitions has the one that the output names.
fn fits(output: &Output, partitions: i32) -> bool {
    output.partition.is_none_or(|partition| partition < partitions)
}

/// The client, made at its first use.
fn kept(
    client: &Mutex<Option<Arc<BaseConsumer>>>,
    config: impl FnOnce() -> ClientConfig,
) -> Result<Arc<BaseConsumer>, KafkaError> {
    let mut client = lock(client);
    if let Some(client) = &*client {
        // Nobody polls it: what it logged meanwhile is taken off here.
        for _ in 0..100 {
            if client.poll(Duration::ZERO).is_none() {
                break;
            }
        }
        return Ok(client.clone());
    }
    let made = Arc::new(config().create::<BaseConsumer>()?);
    *client = Some(made.clone());
    Ok(made)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
