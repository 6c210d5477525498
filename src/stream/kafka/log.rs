//! [`KafkaLog`]: one cluster behind the log's contract.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::BaseConsumer;
use tokio::time::Instant;

use super::config::KafkaConfig;
use super::follow::{Followed, KafkaFollower};
use super::lookup::Lookup;
use super::member::Shared;
use super::producer::{self, Tally};
use super::reader::KafkaReader;
use super::taken::{Producer, Taking};
use super::writer::KafkaWriter;
use super::{fault, offsets, topics};
use crate::stream::{
    CommitError, CommitErrorKind, Ends, Extent, Follower, From, Log, LogReader, LogWriter,
    Membership, Output, Progress, StreamError, StreamErrorKind, Topic, TopicPartition,
};

/// How long a record outside any group may wait for room.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// Reports of such records are taken together: there is one for each partition, and most of what is written has waited
/// longer than that for others to come along.
const TAKING: Taking = Taking::Every(Duration::from_millis(2));

/// A Kafka cluster.
pub struct KafkaLog {
    config: KafkaConfig,
    lookup: Arc<Lookup>,
    /// For records outside any group; made when the first one is sent.
    sender: Mutex<Option<Producer>>,
}

impl KafkaLog {
    /// Checks the settings. Nothing is connected yet.
    pub fn new(config: KafkaConfig) -> Result<Self, StreamError> {
        config.check()?;
        let lookup = Arc::new(Lookup::new(config.clone()));
        Ok(KafkaLog { config, lookup, sender: Mutex::new(None) })
    }

    fn sender(&self) -> Result<Producer, StreamError> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            return Ok(sender.clone());
        }
        let made = producer::produce_with(&self.config.producer(), TAKING)
            .map_err(|error| fault::stream_error("sending", &error))?;
        *sender = Some(made.clone());
        Ok(made)
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Lookup) -> Result<T, StreamError> + Send + 'static,
    ) -> Result<T, StreamError> {
        let lookup = self.lookup.clone();
        blocking(move || question(&lookup)).await
    }
}

#[async_trait]
impl Log for KafkaLog {
    fn name(&self) -> &'static str {
        "kafka"
    }

    async fn cluster(&self) -> Result<Arc<str>, StreamError> {
        self.ask(Lookup::cluster).await
    }

    async fn topics(&self) -> Result<Vec<Topic>, StreamError> {
        let found = self.ask(Lookup::topics).await?;
        topics::describe(&self.config, found).await
    }

    async fn create(&self, wanted: &[Topic]) -> Result<(), StreamError> {
        topics::create(&self.config, wanted, &self.lookup).await
    }

    async fn extents(&self, topic: &str) -> Result<Vec<Extent>, StreamError> {
        let topic = topic.to_owned();
        self.ask(move |lookup| lookup.extents(&topic)).await
    }

    async fn written(&self, topic: &str) -> Result<Vec<(TopicPartition, i64)>, StreamError> {
        let (topic, open) = (topic.to_owned(), self.config.uncommitted());
        self.ask(move |lookup| {
            let places = lookup.places(&topic)?;
            let refs: Vec<&TopicPartition> = places.iter().collect();
            let client: Result<BaseConsumer, _> = open.create();
            let ends = client.and_then(|client| offsets::ends(&client, &refs));
            let ends = ends
                .map_err(|error| fault::stream_error(&format!("asking for `{topic}`"), &error))?;
            Ok(places.into_iter().zip(ends).collect())
        })
        .await
    }

    async fn committed(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<Vec<(i32, Progress)>, StreamError> {
        let (config, group, topic) = (self.config.clone(), group.to_owned(), topic.to_owned());
        self.ask(move |lookup| {
            let places = lookup.places(&topic)?;
            let doing = format!("reading what group `{group}` committed");
            let found = offsets::known(&config, &group, &places)
                .map_err(|error| fault::stream_error(&doing, &error))?;
            let mut committed = Vec::with_capacity(found.len());
            for (at, found) in found {
                let Some((base, text)) = found else { continue };
                let progress = Progress::decode(base, &text).map_err(|error| StreamError {
                    kind: StreamErrorKind::CorruptProgress,
                    message: format!(
                        "the progress of `{at}` in group `{group}` can't be read: {error}"
                    ),
                })?;
                committed.push((at.partition, progress));
            }
            Ok(committed)
        })
        .await
    }

    async fn send(&self, outputs: Vec<Output>) -> Result<Ends, StreamError> {
        let outputs = match self.lookup.knows(&outputs) {
            true => outputs,
            false => self
                .ask(|lookup| Ok(lookup.writable(&outputs).map(|()| outputs)))
                .await?
                .map_err(sending)?,
        };
        let sender = self.sender()?;
        let tally = Arc::new(Tally::default());
        let deadline = Instant::now() + SEND_WITHIN;
        let mut next = 0;
        loop {
            match producer::hand_over(&sender, &outputs, next, &tally) {
                Ok(reached) if reached == outputs.len() => break,
                Ok(_) if Instant::now() >= deadline => {
                    return Err(StreamError {
                        kind: StreamErrorKind::Unavailable,
                        message: "records are not taken fast enough".to_owned(),
                    });
                }
                Ok(reached) => next = reached,
                Err(rejection) => {
                    self.lookup.forget();
                    return Err(unsent(rejection.message, rejection.unwritable));
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tally.settled().await;
        match tally.rejection(&outputs) {
            None => Ok(tally.ends(&outputs)),
            Some(rejection) => {
                self.lookup.forget();
                Err(unsent(rejection.message, rejection.unwritable))
            }
        }
    }

    async fn follow(&self, topic: &str, from: From) -> Result<Box<dyn Follower>, StreamError> {
        let what = Followed::Topic(topic.into(), from);
        Ok(Box::new(KafkaFollower::open(&self.config, self.lookup.clone(), what).await?))
    }

    async fn read(&self, at: &TopicPartition, from: i64) -> Result<Box<dyn Follower>, StreamError> {
        let what = Followed::Partition(at.clone(), from);
        Ok(Box::new(KafkaFollower::open(&self.config, self.lookup.clone(), what).await?))
    }

    async fn join(
        &self,
        membership: Membership,
    ) -> Result<(Box<dyn LogReader>, Box<dyn LogWriter>), StreamError> {
        let wanted: Vec<Arc<str>> =
            membership.topics.iter().map(|(topic, _)| topic.clone()).collect();
        self.ask(move |lookup| {
            for topic in wanted {
                if lookup.places(&topic)?.is_empty() {
                    return Err(StreamError {
                        kind: StreamErrorKind::UnknownTopic,
                        message: format!("there is no topic `{topic}`"),
                    });
                }
            }
            Ok(())
        })
        .await?;
        let shared = Arc::new(Shared::new());
        let lookup = self.lookup.clone();
        let writer =
            KafkaWriter::open(&self.config, &membership, lookup.clone(), shared.clone()).await?;
        let reader = KafkaReader::join(&self.config, membership, lookup, shared).await?;
        Ok((Box::new(reader), Box::new(writer)))
    }
}

/// Runs blocking calls of the client off the runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StreamError> + Send + 'static,
) -> Result<T, StreamError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(StreamError {
            kind: StreamErrorKind::Fatal,
            message: format!("a call of the Kafka client ended abruptly: {error}"),
        })
    })
}

fn sending(error: CommitError) -> StreamError {
    let kind = match error.kind {
        CommitErrorKind::Unwritable(_) => StreamErrorKind::UnknownTopic,
        _ => StreamErrorKind::Unavailable,
    };
    StreamError { kind, message: error.message }
}

fn unsent(message: String, unwritable: bool) -> StreamError {
    let kind = if unwritable { StreamErrorKind::Setting } else { StreamErrorKind::Unavailable };
    StreamError { kind, message }
}
