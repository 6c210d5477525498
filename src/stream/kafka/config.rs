//! What a Kafka cluster needs to be reached, and the client settings that follow from how this engine works.
//!
//! Settings of the user pass through by their librdkafka names. The ones that the promises rest on are the engine's own:
//! [`KafkaConfig::check`] refuses them by name, before anything connects.

use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::stream::transaction::{SOCKET_TIMEOUT, TRANSACTION_TIMEOUT};
use crate::stream::{StreamError, StreamErrorKind};

#[cfg(test)]
mod tests;

/// Time limit of one record; below the transaction's.
const RECORD_TIMEOUT_MS: u64 = 10_000;

/// The debug context that tells of every connection that breaks. Without it one that breaks while a single request waits
/// for its answer, such as the end of a transaction, is not told: it is no warning, no error, and the client repeats the
/// request in silence.
pub(super) const WATCHED: &str = "broker";

/// How long a member may be silent, by the client's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// After this long without a heartbeat the group gives it up.
    pub(super) session: Duration,
    /// Who stood still for this long may be given up: the last heartbeat may have been as much earlier as heartbeats lie
    /// apart.
    pub(super) stillness: Duration,
}

/// How to reach a cluster. Secrets come in resolved; `Debug` shows the names of settings, never their values.
#[derive(Clone, Default)]
pub struct KafkaConfig {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// Client settings by their librdkafka names, such as `sasl.username`.
    pub client: Vec<(String, String)>,
    /// First part of the names of groups, transactional ids and the probe's topic.
    pub group_prefix: String,
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.client.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("client", &names)
            .field("group_prefix", &self.group_prefix)
            .finish()
    }
}

/// Settings that are the engine's own, each with the place where a user says what he means instead.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "use `brokers`"),
    ("metadata.broker.list", "use `brokers`"),
    ("group.id", "use the pipeline's `group`"),
    ("group.instance.id", "use `instance`"),
    ("group.protocol", "the engine drains partitions by the classic protocol"),
    ("group.remote.assignor", "the engine drains partitions by the classic protocol"),
    ("partition.assignment.strategy", "the engine needs `cooperative-sticky`"),
    ("transactional.id", "it follows from group and instance"),
    ("transaction.timeout.ms", "the commit cycle is timed by it"),
    ("enable.idempotence", "the guarantee rests on it"),
    ("enable.gapless.guarantee", "the guarantee rests on it"),
    ("acks", "the guarantee rests on it"),
    ("request.required.acks", "the guarantee rests on it"),
    ("retries", "the guarantee rests on it"),
    ("message.send.max.retries", "the guarantee rests on it"),
    ("max.in.flight", "the guarantee rests on it"),
    ("max.in.flight.requests.per.connection", "the guarantee rests on it"),
    ("message.timeout.ms", "the commit cycle is timed by it"),
    ("delivery.timeout.ms", "the commit cycle is timed by it"),
    ("socket.timeout.ms", "the commit cycle is timed by it"),
    ("retry.backoff.ms", "the commit cycle is timed by it"),
    ("retry.backoff.max.ms", "the commit cycle is timed by it"),
    ("linger.ms", "the committer gathers records itself; use `commit_interval`"),
    ("queue.buffering.max.ms", "the committer gathers records itself; use `commit_interval`"),
    ("message.max.bytes", "the engine has its own size limits"),
    ("enable.auto.commit", "the engine commits"),
    ("auto.commit.interval.ms", "the engine commits"),
    ("auto.commit.enable", "the engine commits"),
    ("enable.auto.offset.store", "the engine commits"),
    ("offset.store.method", "the engine commits"),
    ("auto.offset.reset", "use `source.from`"),
    ("isolation.level", "the engine reads committed records only"),
    ("enable.partition.eof", "the engine sets it where it needs it"),
    ("allow.auto.create.topics", "topics are created by `dev` or with `create: true`"),
    ("plugin.library.paths", "the engine loads no libraries"),
    ("log.queue", "the engine reads the client's log"),
    ("log_level", "use the engine's log filter"),
];

/// Why a client setting can't be given by the user; none when it can.
pub fn refusal(name: &str) -> Option<&'static str> {
    OWNED.iter().find(|(owned, _)| *owned == name).map(|(_, reason)| *reason)
}

impl KafkaConfig {
    /// Finds settings that the engine owns.
    pub fn check(&self) -> Result<(), StreamError> {
        let owned = self.client.iter().find_map(|(name, _)| Some((name, refusal(name)?)));
        match owned {
            None => Ok(()),
            Some((name, reason)) => Err(StreamError {
                kind: StreamErrorKind::Setting,
                message: format!("`{name}` can't be set under `client`: {reason}"),
            }),
        }
    }

    /// The times of a member's session; where the user sets none the client's own.
    pub(super) fn times(&self) -> Times {
        let set = |name: &str, usual: u64| {
            let set = self.client.iter().rev().find(|(set, _)| set == name);
            let millis = set.and_then(|(_, value)| value.parse().ok());
            Duration::from_millis(millis.unwrap_or(usual))
        };
        let session = set("session.timeout.ms", 45_000);
        let heartbeat = set("heartbeat.interval.ms", 3_000);
        // With heartbeats as rare as sessions are long nobody could ever be sure.
        Times { session, stillness: session.saturating_sub(heartbeat).max(session / 3) }
    }

    /// Metadata, offsets, extents: no group, no records.
    pub(super) fn lookup(&self) -> ClientConfig {
        let mut config = self.base();
        config.set("isolation.level", "read_committed").set("enable.auto.commit", "false");
        config
    }

    /// Sees what is written, committed or not.
    pub(super) fn uncommitted(&self) -> ClientConfig {
        let mut config = self.lookup();
        config.set("isolation.level", "read_uncommitted");
        config
    }

    /// Reads what a group committed, without being its member.
    pub(super) fn observer(&self, group: &str) -> ClientConfig {
        let mut config = self.lookup();
        config.set("group.id", group).set("enable.auto.offset.store", "false");
        config
    }

    /// Reads records without a group.
    pub(super) fn follower(&self) -> ClientConfig {
        let mut config = self.lookup();
        fetching(&mut config);
        // The client insists on a group; nothing is ever committed to it.
        config
            .set("group.id", format!("{}.follow", self.group_prefix))
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true");
        config
    }

    /// A member of a group.
    pub(super) fn member(&self, group: &str, instance: &str) -> ClientConfig {
        let mut config = self.observer(group);
        fetching(&mut config);
        config
            .set("group.instance.id", instance)
            .set("partition.assignment.strategy", "cooperative-sticky");
        config
    }

    /// A producer without transactions.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        // Keys go where other clients of Kafka put them; the user may choose otherwise.
        if config.get("partitioner").is_none() {
            config.set("partitioner", "murmur2_random");
        }
        if config.get("queue.buffering.max.kbytes").is_none() {
            config.set("queue.buffering.max.kbytes", "65536");
        }
        if config.get("compression.type").or(config.get("compression.codec")).is_none() {
            config.set("compression.type", "lz4");
        }
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.timeout.ms", RECORD_TIMEOUT_MS.to_string())
            // It counts uncompressed bytes; our own caps and the topic's limit bound what is sent.
            .set("message.max.bytes", "1000000000")
            // Back-to-back transactions meet the end of the one before: the default would sleep 100 ms.
            .set("retry.backoff.ms", "2")
            .set("retry.backoff.max.ms", "20");
        config
    }

    /// The one transactional producer of a group's instance.
    pub(super) fn transactional(&self, id: &str) -> ClientConfig {
        let mut config = self.producer();
        let asked = config.get("debug").map(|asked| format!("{asked},{WATCHED}"));
        config
            .set("debug", asked.unwrap_or_else(|| WATCHED.to_owned()))
            .set_log_level(RDKafkaLogLevel::Debug)
            .set("transactional.id", id)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string());
        config
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // Who asks for the client's debug contexts wants to read them.
        let debug = self.client.iter().any(|(name, _)| name == "debug");
        config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Warning });
        for (name, value) in &self.client {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", &self.brokers)
            .set("socket.timeout.ms", SOCKET_TIMEOUT.as_millis().to_string());
        if config.get("client.id").is_none() {
            config.set("client.id", "vivremotion");
        }
        config
    }
}

/// What every reader of records needs. 16 MiB ahead are a second and a half at ten thousand events of 1 KB, and the broker is
/// asked again within 20 ms.
fn fetching(config: &mut ClientConfig) {
    for (name, value) in [("queued.max.messages.kbytes", "16384"), ("fetch.queue.backoff.ms", "20")]
    {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    // Only offsets that are no longer kept make it start somewhere else than where it was told to.
    config.set("auto.offset.reset", "earliest");
}
