//! A stranger's Kafka clients: what any other application would send and see. Nothing of the engine's is used.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::checker::{Kind, Place, Sent, Sighting};
use crate::time;

/// Longest wait for a broker that is there.
pub const WAIT: Duration = Duration::from_secs(60);

/// Which records a reader is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Committed ones.
    Committed,
    /// All of them.
    Uncommitted,
}

impl Isolation {
    fn word(self) -> &'static str {
        match self {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        }
    }
}

/// A record.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where it lies.
    pub at: Place,
    /// When it was read, in milliseconds since the epoch.
    pub seen: i64,
    /// Its own time, in milliseconds since the epoch.
    pub timestamp: i64,
    /// Key.
    pub key: String,
    /// Value.
    pub value: Vec<u8>,
    /// Headers that are text.
    pub headers: BTreeMap<String, String>,
}

impl Seen {
    /// Where and when it was seen, and what it was.
    pub fn sighting(&self) -> Sighting {
        Sighting { at: self.at, seen: self.seen, digest: self.digest() }
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.value.hash(&mut hasher);
        hasher.finish()
    }
}

/// A topic to make: its name, partitions and settings.
pub type Wanted<'t> = (&'t str, i32, &'t [(&'t str, &'t str)]);

/// Creates topics.
pub fn create(brokers: &str, topics: &[Wanted<'_>]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let topics: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|(name, partitions, settings)| {
            let topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(1));
            settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(WAIT));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let made = runtime.block_on(admin.create_topics(&topics, &options)).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

/// Notes where records were written, by their number.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<BTreeMap<u64, Place>>>);

impl ClientContext for Notes {}

impl ProducerContext for Notes {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, n: Box<u64>) {
        if let Ok(record) = result {
            self.0.lock().unwrap().insert(*n, (record.partition(), record.offset()));
        }
    }
}

/// Sends records in order; what was acknowledged is known by its number.
pub struct Sender {
    producer: ThreadedProducer<Notes>,
    topic: String,
}

impl Sender {
    /// For a topic.
    pub fn new(brokers: &str, topic: &str) -> Sender {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", "300000")
            .set("message.max.bytes", "8000000")
            .set("linger.ms", "5");
        let producer = config.create_with_context(Notes::default()).unwrap();
        Sender { producer, topic: topic.to_owned() }
    }

    /// Sends one, to a partition if that matters, with so many headers.
    pub fn send(
        &self,
        n: u64,
        key: Option<&str>,
        value: Option<&[u8]>,
        partition: Option<i32>,
        headers: usize,
    ) {
        let mut record: BaseRecord<'_, [u8], [u8], Box<u64>> =
            BaseRecord::with_opaque_to(&self.topic, Box::new(n));
        record.key = key.map(str::as_bytes);
        record.payload = value;
        record.partition = partition;
        if headers > 0 {
            let all = (0..headers).map(|n| format!("header-{n}"));
            record.headers = Some(all.fold(OwnedHeaders::new(), |headers, name| {
                headers.insert(Header { key: &name, value: Some("x") })
            }));
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    time::pause(Duration::from_millis(5));
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }

    /// Waits until all are acknowledged, and says where they lie.
    pub fn places(&self) -> BTreeMap<u64, Place> {
        self.producer.flush(Duration::from_secs(300)).unwrap();
        self.producer.context().0.lock().unwrap().clone()
    }
}

/// Everything that is in a topic now.
pub fn read_all(brokers: &str, topic: &str, isolation: Isolation) -> Vec<Seen> {
    let (consumer, mut open) = from_beginning(brokers, topic, isolation);
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

/// A reader of all partitions from their beginning, and how many there are.
pub fn from_beginning(brokers: &str, topic: &str, isolation: Isolation) -> (BaseConsumer, usize) {
    let consumer: BaseConsumer = reader(brokers, "stranger", isolation)
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "50")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    assert!(list.count() > 0, "there is no topic {topic}");
    consumer.assign(&list).unwrap();
    (consumer, list.count())
}

/// The settings of a reader that joins no group.
pub fn reader(brokers: &str, group: &str, isolation: Isolation) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", isolation.word());
    config
}

/// The partitions of a topic.
pub fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), WAIT).unwrap();
    metadata.topics().iter().flat_map(|t| t.partitions()).map(|one| one.id()).collect()
}

/// A record, copied out.
pub fn as_seen(record: &rdkafka::message::BorrowedMessage<'_>) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
    let headers = headers.filter_map(|one| Some((one.key.to_owned(), text(one.value?)))).collect();
    Seen {
        at: (record.partition(), record.offset()),
        seen: time::now(),
        timestamp: record.timestamp().to_millis().unwrap_or(-1),
        key: text(record.key().unwrap_or_default()),
        value: record.payload().unwrap_or_default().to_vec(),
        headers,
    }
}

/// How many partitions each member of a group has; empty while it is being balanced.
pub fn shares(brokers: &str, group: &str) -> Vec<usize> {
    owners(brokers, group).values().map(BTreeSet::len).collect()
}

/// Which partitions each member of a group has, by the name its client gives itself; empty while it is being balanced.
pub fn owners(brokers: &str, group: &str) -> BTreeMap<String, BTreeSet<i32>> {
    let consumer: BaseConsumer = reader(brokers, "watch", Isolation::Uncommitted).create().unwrap();
    let Ok(found) = consumer.fetch_group_list(Some(group), WAIT) else { return BTreeMap::new() };
    let stable = found.groups().iter().find(|one| one.state() == "Stable");
    let members = stable.into_iter().flat_map(|group| group.members());
    members
        .map(|one| (one.client_id().to_owned(), assigned(one.assignment().unwrap_or_default())))
        .collect()
}

/// Partitions in an assignment as the protocol writes it: a version, then topics with their partitions.
fn assigned(bytes: &[u8]) -> BTreeSet<i32> {
    let number = |at: usize| Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let read = || {
        let (mut at, mut partitions) = (6, BTreeSet::new());
        for _ in 0..number(2)? {
            let name = bytes.get(at..at + 2)?;
            at += 2 + usize::from(u16::from_be_bytes(name.try_into().ok()?));
            let count = number(at)?;
            for _ in 0..count {
                at += 4;
                partitions.insert(number(at)?);
            }
            at += 4;
        }
        Some(partitions)
    };
    read().unwrap_or_default()
}

/// A sender whose every second transaction is aborted.
pub struct Transactions {
    brokers: String,
    topic: String,
    producer: ThreadedProducer<Notes>,
}

impl Transactions {
    /// For a topic.
    pub fn new(brokers: &str, topic: &str) -> Transactions {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("transactional.id", format!("{topic}.sender"))
            .set("partitioner", "murmur2_random");
        let producer: ThreadedProducer<Notes> =
            config.create_with_context(Notes::default()).unwrap();
        producer.init_transactions(WAIT).unwrap();
        Transactions { brokers: brokers.to_owned(), topic: topic.to_owned(), producer }
    }

    /// Sends numbers, ten a transaction, and each ten once more in a transaction that is aborted before.
    pub fn send(
        &self,
        numbers: std::ops::Range<u64>,
        value: impl Fn(u64) -> (Kind, Vec<u8>),
    ) -> Vec<Sent> {
        let all: Vec<u64> = numbers.collect();
        for ten in all.chunks(10) {
            for commit in [false, true] {
                self.producer.begin_transaction().unwrap();
                for n in ten {
                    let key = key(*n);
                    let (_, value) = value(*n);
                    let mut record: BaseRecord<'_, [u8], [u8], Box<u64>> =
                        BaseRecord::with_opaque_to(&self.topic, Box::new(*n));
                    record.key = Some(key.as_bytes());
                    record.payload = Some(&value);
                    self.producer.send(record).map_err(|(error, _)| error).unwrap();
                }
                self.producer.flush(WAIT).unwrap();
                match commit {
                    true => self.producer.commit_transaction(WAIT).unwrap(),
                    false => self.producer.abort_transaction(WAIT).unwrap(),
                }
            }
        }
        let places = self.producer.context().0.lock().unwrap().clone();
        let sent = |n: &u64| Sent { n: *n, key: key(*n), at: places[n], kind: value(*n).0 };
        all.iter().map(sent).collect()
    }

    /// Has the broker compact what was sent, and keeps it so: those of them that are still there.
    pub fn compact(&self, sent: Vec<Sent>) -> Vec<Sent> {
        let compacting = [
            ("cleanup.policy", "compact"),
            ("segment.ms", "100"),
            ("min.cleanable.dirty.ratio", "0.01"),
            ("max.compaction.lag.ms", "1000"),
        ];
        self.configure(&compacting);
        let end = Instant::now() + Duration::from_secs(180);
        let mut there = self.there();
        // Some are gone, and no more than at the last look: it is done for now.
        loop {
            time::pause(Duration::from_secs(3));
            let now = self.there();
            if now.len() < sent.len() && now == there {
                break;
            }
            assert!(Instant::now() < end, "{} of {} records are left", now.len(), sent.len());
            there = now;
            // A new record rolls a segment: only what lies in older ones is compacted.
            self.roll();
        }
        self.configure(&[("cleanup.policy", "delete")]);
        time::pause(Duration::from_secs(2));
        let there = self.there();
        sent.into_iter().filter(|one| there.contains(&one.at)).collect()
    }

    fn there(&self) -> BTreeSet<Place> {
        let all = read_all(&self.brokers, &self.topic, Isolation::Committed);
        all.iter().map(|one| one.at).collect()
    }

    /// An aborted record in each partition.
    fn roll(&self) {
        let consumer: BaseConsumer =
            reader(&self.brokers, "stranger", Isolation::Committed).create().unwrap();
        self.producer.begin_transaction().unwrap();
        for partition in partitions(&consumer, &self.topic) {
            let mut record: BaseRecord<'_, [u8], [u8], Box<u64>> =
                BaseRecord::with_opaque_to(&self.topic, Box::new(u64::MAX));
            (record.key, record.payload) = (Some(&b"-"[..]), Some(&b"-"[..]));
            record.partition = Some(partition);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        self.producer.flush(WAIT).unwrap();
        self.producer.abort_transaction(WAIT).unwrap();
    }

    fn configure(&self, settings: &[(&str, &str)]) {
        let topic = ResourceSpecifier::Topic(&self.topic);
        let wanted = settings
            .iter()
            .fold(AlterConfig::new(topic), |wanted, (key, value)| wanted.set(key, value));
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(WAIT));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let altered = runtime.block_on(admin.alter_configs(&[wanted], &options)).unwrap();
        assert!(altered.iter().all(Result::is_ok), "{altered:?}");
    }

    /// Deletes half of what is new in each partition, from its beginning; one past what is gone, by partition.
    pub fn delete_beginnings(&self, new: &[Sent]) -> BTreeMap<i32, i64> {
        let mut offsets: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for one in new {
            offsets.entry(one.at.0).or_default().push(one.at.1);
        }
        let before: BTreeMap<i32, i64> = offsets
            .into_iter()
            .map(|(partition, mut list)| {
                list.sort_unstable();
                (partition, list[list.len() / 2])
            })
            .collect();
        let mut wanted = TopicPartitionList::new();
        for (partition, before) in &before {
            let offset = Offset::Offset(*before);
            wanted.add_partition_offset(&self.topic, *partition, offset).unwrap();
        }
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(WAIT));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(admin.delete_records(&wanted, &options)).unwrap();
        before
    }
}

fn key(n: u64) -> String {
    format!("key-{}", n % 300)
}
