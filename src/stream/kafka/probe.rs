//! The start-up probe: does this cluster keep what `exactly_once` rests on? Three questions, asked of the broker itself,
//! since versions and vendors differ: does it give back the metadata of an offset, inside a transaction too; do readers
//! of committed data never see what was aborted; is a producer refused once another took its id.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::config::KafkaConfig;
use super::log::blocking;
use super::lookup::Lookup;
use super::producer::{self, Tally, Waited};
use super::taken::{Producer, Taking};
use super::{fault, offsets};
use crate::base::clock::{Clock, SystemClock};
use crate::stream::{Output, Progress, StreamError, StreamErrorKind, TopicPartition};

const WITHIN: Duration = Duration::from_secs(15);
/// How often another engine's probe may come in between.
const TRIES: usize = 20;

/// What the probe found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why `exactly_once` can't be kept; empty when it can.
    pub refusals: Vec<String>,
}

impl Verdict {
    /// Whether `exactly_once` can be kept.
    pub fn holds(&self) -> bool {
        self.refusals.is_empty()
    }
}

/// Name of the topic and the group that the probe uses.
pub fn probe_name(config: &KafkaConfig) -> String {
    format!("{}.probe", config.group_prefix)
}

/// Probes the cluster. Its topic must exist (see [`probe_name`]); it leaves a record in it.
pub async fn probe(config: &KafkaConfig) -> Result<Verdict, StreamError> {
    config.check()?;
    let config = config.clone();
    blocking(move || {
        let name = probe_name(&config);
        if Lookup::new(config.clone()).places(&name)?.is_empty() {
            return Err(StreamError {
                kind: StreamErrorKind::UnknownTopic,
                message: format!("there is no topic `{name}`, which the start-up probe needs"),
            });
        }
        run(&config, &name).map_err(|error| fault::stream_error("the start-up probe", &error))
    })
    .await
}

/// Whether an earlier probe of that cluster found that it holds.
pub fn recall(state: &Path, cluster: &str) -> bool {
    note(state, cluster).is_file()
}

/// Notes that the probe of that cluster held. A cluster that failed is probed again each time: it may be mended.
pub fn remember(state: &Path, cluster: &str) -> io::Result<()> {
    fs::write(note(state, cluster), cluster)
}

fn note(state: &Path, cluster: &str) -> PathBuf {
    // A cluster's id is not ours: it must not become a path.
    let digest = blake3::hash(cluster.as_bytes()).to_hex();
    state.join(format!("probe-{}", digest.get(..16).unwrap_or_default()))
}

/// One run of the probe.
struct Probe {
    topic: Arc<str>,
    at: TopicPartition,
    consumer: BaseConsumer,
    refusals: Vec<String>,
    /// Makes this run's records and texts different from every other's.
    token: String,
}

fn run(config: &KafkaConfig, name: &str) -> Result<Verdict, KafkaError> {
    let topic: Arc<str> = Arc::from(name);
    let token = format!("{:032x}", SystemClock.draw());
    let mut probe = Probe {
        at: TopicPartition { topic: topic.clone(), partition: 0 },
        topic,
        consumer: config.observer(name).create()?,
        refusals: Vec::new(),
        token: token.clone(),
    };
    // An id of this run alone: two engines that start together must not fence each other's probes.
    let id = format!("{name}-{token}");
    let first = open(config, &id)?;
    let start = offsets::ends(&probe.consumer, &[&probe.at])?.first().copied().unwrap_or(0);
    probe.aborted(&first)?;
    probe.committed(&first)?;
    probe.isolated(config, start)?;
    probe.fenced(config, &id, &first)?;
    Ok(Verdict { refusals: probe.refusals })
}

fn open(config: &KafkaConfig, id: &str) -> Result<Producer, KafkaError> {
    let producer = producer::produce_with(&config.transactional(id), Taking::AtOnce)?;
    producer.init_transactions(WITHIN)?;
    Ok(producer)
}

/// Whose metadata was found.
enum Seen {
    Ours,
    Another,
    Missing,
}

impl Probe {
    /// As long as the longest progress text.
    fn text(&self, what: &str) -> String {
        let mut text = format!("{what}-{}-", self.token);
        text.push_str(&"x".repeat(Progress::MAX_TEXT.saturating_sub(text.len())));
        text
    }

    fn offsets(&self, text: &str) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&self.topic, self.at.partition);
        element.set_offset(Offset::Offset(0))?;
        element.set_metadata(text);
        Ok(list)
    }

    fn produce(&self, producer: &Producer, what: &str) -> Result<(), KafkaError> {
        let output = Output {
            topic: self.topic.clone(),
            partition: Some(self.at.partition),
            key: None,
            value: Some(format!("{what}-{}", self.token).into()),
            headers: Vec::new(),
            timestamp: None,
        };
        let tally = Arc::new(Tally::default());
        let handed = producer::hand_over(producer, &[output], 0, &tally);
        match (handed, tally.wait(WITHIN)) {
            (Ok(1), Waited::Delivered) => {
                producer::let_go(producer);
                Ok(())
            }
            _ => Err(KafkaError::Canceled),
        }
    }

    fn send_offsets(&self, producer: &Producer, text: &str) -> Result<(), KafkaError> {
        let membership = self.consumer.group_metadata().ok_or(KafkaError::Canceled)?;
        producer.send_offsets_to_transaction(&self.offsets(text)?, &membership, WITHIN)
    }

    /// The metadata that is committed now.
    fn found(&self) -> Result<String, KafkaError> {
        let found = offsets::settled(&self.consumer, std::slice::from_ref(&self.at))?;
        let text = found.into_iter().next().and_then(|(_, committed)| committed);
        Ok(text.map(|(_, text)| text).unwrap_or_default())
    }

    /// Whose metadata is committed. Another engine may probe at the same time, in the same group.
    fn seen(&self, what: &str) -> Result<Seen, KafkaError> {
        let (found, ours) = (self.found()?, self.text(what));
        let alike = found.len() == ours.len() && found.ends_with('x');
        Ok(match found == ours {
            true => Seen::Ours,
            false if alike && !found.contains(&self.token) => Seen::Another,
            false => Seen::Missing,
        })
    }

    /// Commits metadata in that way until it is clear what becomes of it.
    fn given_back(
        &self,
        what: &str,
        commit: impl Fn(&str) -> Result<(), KafkaError>,
    ) -> Result<bool, KafkaError> {
        for _ in 0..TRIES {
            commit(&self.text(what))?;
            match self.seen(what)? {
                Seen::Ours => return Ok(true),
                Seen::Missing => return Ok(false),
                Seen::Another => {
                    let pause = u64::try_from(SystemClock.draw() % 190).unwrap_or_default();
                    producer::rest(Duration::from_millis(10 + pause));
                }
            }
        }
        // Others' metadata came back each time: it does come back.
        Ok(true)
    }

    fn aborted(&mut self, producer: &Producer) -> Result<(), KafkaError> {
        let given_back = self.given_back("before", |text| {
            self.consumer.commit(&self.offsets(text)?, CommitMode::Sync)
        })?;
        if !given_back {
            self.refusals.push(format!(
                "it does not give back {} bytes of metadata of a committed offset",
                Progress::MAX_TEXT
            ));
        }
        producer.begin_transaction()?;
        self.produce(producer, "aborted")?;
        self.send_offsets(producer, &self.text("aborted"))?;
        producer.abort_transaction(WITHIN)?;
        if let Seen::Ours = self.seen("aborted")? {
            self.refusals.push("it keeps the offsets of an aborted transaction".to_owned());
        }
        Ok(())
    }

    fn committed(&mut self, producer: &Producer) -> Result<(), KafkaError> {
        let given_back = self.given_back("committed", |text| {
            producer.begin_transaction()?;
            self.produce(producer, "committed")?;
            self.send_offsets(producer, text)?;
            producer.commit_transaction(WITHIN)
        })?;
        if !given_back {
            let refusal = "it does not give back the metadata of an offset in a transaction";
            self.refusals.push(refusal.to_owned());
        }
        Ok(())
    }

    fn isolated(&mut self, config: &KafkaConfig, start: i64) -> Result<(), KafkaError> {
        let reader: BaseConsumer = config.follower().create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, self.at.partition, Offset::Offset(start))?;
        reader.assign(&list)?;
        let wanted = format!("committed-{}", self.token).into_bytes();
        let unwanted = format!("aborted-{}", self.token).into_bytes();
        let deadline = Instant::now() + WITHIN;
        while Instant::now() < deadline {
            match reader.poll(Duration::from_millis(100)) {
                Some(Ok(record)) if record.payload() == Some(&*wanted) => return Ok(()),
                Some(Ok(record)) if record.payload() == Some(&*unwanted) => {
                    let refusal = "readers of committed records are shown aborted ones";
                    self.refusals.push(refusal.to_owned());
                }
                _ => {}
            }
        }
        self.refusals.push("readers of committed records are not shown committed ones".to_owned());
        Ok(())
    }

    fn fenced(
        &mut self,
        config: &KafkaConfig,
        id: &str,
        first: &Producer,
    ) -> Result<(), KafkaError> {
        first.begin_transaction()?;
        self.produce(first, "fenced")?;
        let _second = open(config, id)?;
        if first.commit_transaction(WITHIN).is_ok() {
            let refusal = "a producer may commit after another took its transactional id";
            self.refusals.push(refusal.to_owned());
        }
        Ok(())
    }
}
