//! Reads a topic without a group: committed records, from a place of choice, on a thread of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::config::KafkaConfig;
use super::log::blocking;
use super::lookup::Lookup;
use super::{copy, fault, offsets, producer};
use crate::stream::{Follower, From, Record, StreamError, StreamErrorKind, TopicPartition};

/// Batches between the thread and `next`.
const QUEUE: usize = 8;
const TOGETHER: usize = 512;
const TOGETHER_BYTES: usize = 1 << 20;
/// The longest wait for a record before the thread looks whether anybody still follows.
const POLL: Duration = Duration::from_millis(100);

/// How long an open transaction of somebody else is waited for.
const SETTLE: Duration = Duration::from_secs(30);

/// Reads a topic without a group.
pub(super) struct KafkaFollower {
    /// Where each partition ended when it was opened; removed when that was reached.
    behind: HashMap<i32, i64>,
    plan: Plan,
    /// None until there is something to read in a partition, or somebody waits: many only ask whether there is.
    reading: Option<Reading>,
}

/// What is to be read.
struct Plan {
    client: ClientConfig,
    topic: Arc<str>,
    from: TopicPartitionList,
}

/// A thread that reads.
struct Reading {
    incoming: Receiver<Result<Portion, StreamError>>,
    stop: Arc<AtomicBool>,
    /// Never joined, which would block the runtime: it ends within one poll after `stop`.
    _thread: JoinHandle<()>,
}

/// What is followed, and from where.
pub(super) enum Followed {
    /// Every partition of a topic.
    Topic(Arc<str>, From),
    /// One partition from that offset on, or from the first one that is kept above it.
    Partition(TopicPartition, i64),
}

impl Followed {
    fn topic(&self) -> Arc<str> {
        match self {
            Followed::Topic(topic, _) => topic.clone(),
            Followed::Partition(at, _) => at.topic.clone(),
        }
    }

    fn covers(&self, at: &TopicPartition) -> bool {
        match self {
            Followed::Topic(..) => true,
            Followed::Partition(one, _) => at.partition == one.partition,
        }
    }
}

/// What the thread passes on.
enum Portion {
    Records(Vec<Record>),
    /// The end of a partition was reached: everything committed was passed on, transaction markers included.
    End(i32),
}

impl KafkaFollower {
    pub(super) async fn open(
        config: &KafkaConfig,
        lookup: Arc<Lookup>,
        what: Followed,
    ) -> Result<Self, StreamError> {
        let (topic, client) = (what.topic(), config.follower());
        blocking(move || {
            let mut places = lookup.places(&topic)?;
            places.retain(|at| what.covers(at));
            if places.is_empty() {
                return Err(StreamError {
                    kind: StreamErrorKind::UnknownTopic,
                    message: format!("there is no topic `{topic}`"),
                });
            }
            let prepared = lookup.client().and_then(|client| {
                if !matches!(what, Followed::Topic(_, From::Latest)) {
                    settle(&*lookup.open()?, &client, &places)?;
                }
                prepare(&client, &places, &what)
            });
            let (from, behind) = prepared.map_err(|error| following(&topic, &error))?;
            let plan = Plan { client, topic, from };
            let later = behind.is_empty() && matches!(what, Followed::Partition(..));
            let reading = if later { None } else { Some(plan.start()?) };
            Ok(KafkaFollower { behind, plan, reading })
        })
        .await
    }
}

impl Plan {
    fn start(&self) -> Result<Reading, StreamError> {
        let consumer: Result<BaseConsumer, KafkaError> = self.client.create();
        let consumer = consumer
            .and_then(|consumer| consumer.assign(&self.from).map(|()| consumer))
            .map_err(|error| following(&self.topic, &error))?;
        let (stop, (sender, incoming)) = (Arc::new(AtomicBool::new(false)), channel(QUEUE));
        let (stopped, topic) = (stop.clone(), self.topic.clone());
        let thread = thread::Builder::new()
            .name("kafka-follow".to_owned())
            .spawn(move || run(&consumer, &topic, &sender, &stopped))
            .map_err(|error| StreamError {
                kind: StreamErrorKind::Fatal,
                message: format!("no thread for following: {error}"),
            })?;
        Ok(Reading { incoming, stop, _thread: thread })
    }
}

fn following(topic: &str, error: &KafkaError) -> StreamError {
    fault::stream_error(&format!("following `{topic}`"), error)
}

/// Waits until every transaction that is open now is decided. A commit returns when the coordinator has it, a moment
/// before its records count as committed: whoever follows after a commit must find them.
fn settle(
    open: &BaseConsumer,
    client: &BaseConsumer,
    places: &[TopicPartition],
) -> Result<(), KafkaError> {
    let refs: Vec<&TopicPartition> = places.iter().collect();
    let written = offsets::ends(open, &refs)?;
    let deadline = Instant::now() + SETTLE;
    while Instant::now() < deadline {
        let committed = offsets::ends(client, &refs)?;
        if committed.iter().zip(&written).all(|(committed, written)| committed >= written) {
            break;
        }
        producer::rest(Duration::from_millis(5));
    }
    Ok(())
}

/// Where to start, and which partitions have something before their end.
fn prepare(
    client: &BaseConsumer,
    places: &[TopicPartition],
    what: &Followed,
) -> Result<(TopicPartitionList, HashMap<i32, i64>), KafkaError> {
    let refs: Vec<&TopicPartition> = places.iter().collect();
    let ends = offsets::ends(client, &refs)?;
    let wanted = |from: From| places.iter().map(|at| (at.clone(), from)).collect::<Vec<_>>();
    // The same ends, or a record that came in between would be skipped and yet counted as there.
    let starts = match what {
        Followed::Topic(_, From::Latest) => ends.clone(),
        Followed::Topic(_, from) => offsets::starts(client, &wanted(*from))?,
        Followed::Partition(_, from) => {
            let kept = offsets::starts(client, &wanted(From::Earliest))?;
            kept.into_iter().map(|kept| kept.max(*from)).collect()
        }
    };
    let mut list = TopicPartitionList::with_capacity(places.len());
    let mut behind = HashMap::new();
    for ((at, start), end) in places.iter().zip(starts).zip(ends) {
        list.add_partition_offset(&at.topic, at.partition, Offset::Offset(start))?;
        if start < end {
            behind.insert(at.partition, end);
        }
    }
    Ok((list, behind))
}

fn run(
    consumer: &BaseConsumer,
    topic: &Arc<str>,
    out: &Sender<Result<Portion, StreamError>>,
    stop: &AtomicBool,
) {
    let going = || !stop.load(Ordering::SeqCst) && !out.is_closed();
    while going() {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut next = consumer.poll(POLL);
        let mut last = None;
        while let Some(polled) = next {
            match polled {
                Ok(message) => {
                    let record = copy::copy(&message, topic.clone());
                    bytes += record.size();
                    records.push(record);
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    last = Some(Ok(Portion::End(partition)))
                }
                Err(error) => last = passed_on(topic, &error).map(Err),
            }
            if last.is_some() || records.len() >= TOGETHER || bytes >= TOGETHER_BYTES {
                break;
            }
            next = consumer.poll(Duration::ZERO);
        }
        // Waiting here holds nobody up: this consumer is in no group.
        if !records.is_empty() && out.blocking_send(Ok(Portion::Records(records))).is_err() {
            return;
        }
        if let Some(last) = last
            && out.blocking_send(last).is_err()
        {
            return;
        }
    }
}

/// What the client does not mend by itself.
fn passed_on(topic: &str, error: &KafkaError) -> Option<StreamError> {
    let error = following(topic, error);
    let told = matches!(
        error.kind,
        StreamErrorKind::Fatal | StreamErrorKind::Denied | StreamErrorKind::UnknownTopic
    );
    told.then_some(error)
}

#[async_trait]
impl Follower for KafkaFollower {
    async fn next(&mut self, wait: Duration) -> Result<Vec<Record>, StreamError> {
        let deadline = Instant::now() + wait;
        let reading = match &mut self.reading {
            Some(reading) => reading,
            // Not on another thread: whoever stops waiting for it would begin anew each time. It waits for nobody.
            None => self.reading.insert(self.plan.start()?),
        };
        loop {
            let received = tokio::time::timeout_at(deadline, reading.incoming.recv()).await;
            match received {
                Err(_) => return Ok(Vec::new()),
                Ok(None) => {
                    return Err(StreamError {
                        kind: StreamErrorKind::Fatal,
                        message: "following ended".to_owned(),
                    });
                }
                Ok(Some(Err(error))) => return Err(error),
                Ok(Some(Ok(Portion::End(partition)))) => {
                    self.behind.remove(&partition);
                    // A caller that waits to have caught up must get a chance to ask.
                    if self.behind.is_empty() {
                        return Ok(Vec::new());
                    }
                }
                Ok(Some(Ok(Portion::Records(records)))) => {
                    for record in &records {
                        let partition = record.at.partition;
                        let end = self.behind.get(&partition);
                        if end.is_some_and(|end| record.offset + 1 >= *end) {
                            self.behind.remove(&partition);
                        }
                    }
                    return Ok(records);
                }
            }
        }
    }

    fn caught_up(&self) -> bool {
        self.behind.is_empty()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
