//! A Kafka client that is not the product's: what any other application would send and see.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

const WAIT: Duration = Duration::from_secs(30);

/// A record as JSON has it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Key.
    pub key: String,
    /// Value; null when it is no JSON.
    pub value: Value,
}

/// Creates topics.
pub async fn create(brokers: &str, topics: &[(&str, i32)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let topics: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|(name, partitions)| NewTopic::new(name, *partitions, TopicReplication::Fixed(1)))
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(WAIT));
    let made = admin.create_topics(&topics, &options).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

/// Sends records and waits until the broker has them.
pub fn send(brokers: &str, topic: &str, records: impl IntoIterator<Item = (String, Value)>) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "5")
        .create()
        .unwrap();
    for (key, value) in records {
        let value = value.to_string();
        let mut record = BaseRecord::to(topic).key(&key).payload(&value);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                // The client's own queue is full: it drains by itself.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    producer.flush(WAIT).unwrap();
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }
    producer.flush(WAIT).unwrap();
}

/// Reads committed records of a topic from its beginning until `enough` says so or the time is up.
pub fn read(
    brokers: &str,
    topic: &str,
    within: Duration,
    mut enough: impl FnMut(&[Seen]) -> bool,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    let end = Instant::now() + within;
    let consumer = from_beginning(brokers, topic);
    while !enough(&seen) && Instant::now() < end {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(record)) => seen.push(as_seen(&record)),
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => panic!("reading {topic}: {error}"),
            None => {}
        }
    }
    seen
}

/// Everything committed in a topic up to now.
pub fn read_all(brokers: &str, topic: &str) -> Vec<Seen> {
    let consumer = from_beginning(brokers, topic);
    let mut open = consumer.assignment().unwrap().count();
    let mut seen = Vec::new();
    let end = Instant::now() + WAIT;
    while open > 0 {
        assert!(Instant::now() < end, "the end of {topic} was not reached");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(record)) => seen.push(as_seen(&record)),
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => panic!("reading {topic}: {error}"),
            None => {}
        }
    }
    seen
}

fn from_beginning(brokers: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // Never joined: the client asks for the name.
        .set("group.id", "stranger")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), WAIT).unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|found| found.partitions()) {
        partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    assert!(partitions.count() > 0, "there is no topic {topic}");
    consumer.assign(&partitions).unwrap();
    consumer
}

fn as_seen(record: &rdkafka::message::BorrowedMessage<'_>) -> Seen {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    Seen {
        key: text(record.key()),
        value: serde_json::from_slice(record.payload().unwrap_or_default()).unwrap_or_default(),
    }
}
