//! What the stories of the Kafka log are made of.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use vivremotion::stream::kafka::{KafkaConfig, KafkaLog};
use vivremotion::stream::{
    Assignment, Batch, Delivery, From, Guarantee, Log, LogReader, LogWriter, Membership,
    OnCorruptProgress, Output, Progress, Record, Topic,
};

use crate::story::World;

/// Nothing here takes longer, a session's end included.
pub const WAIT: Duration = Duration::from_secs(60);

pub fn log_at(brokers: &str) -> KafkaLog {
    KafkaLog::new(KafkaConfig {
        brokers: brokers.to_owned(),
        client: vec![
            ("session.timeout.ms".to_owned(), "6000".to_owned()),
            ("heartbeat.interval.ms".to_owned(), "500".to_owned()),
        ],
        group_prefix: "stories".to_owned(),
    })
    .unwrap()
}

pub fn log(world: &World) -> KafkaLog {
    log_at(&world.kafka().brokers())
}

pub async fn topic(log: &KafkaLog, name: &str, partitions: i32) -> Arc<str> {
    let name: Arc<str> = Arc::from(name);
    log.create(&[Topic { name: name.clone(), partitions, config: Vec::new() }]).await.unwrap();
    name
}

pub fn output(topic: &Arc<str>, partition: Option<i32>, value: impl Into<Bytes>) -> Output {
    Output {
        topic: topic.clone(),
        partition,
        key: None,
        value: Some(value.into()),
        headers: vec![("kind".into(), Some(Bytes::from_static(b"test")))],
        timestamp: None,
    }
}

pub fn numbered(
    topic: &Arc<str>,
    partition: Option<i32>,
    range: std::ops::Range<usize>,
) -> Vec<Output> {
    range.map(|n| output(topic, partition, n.to_string())).collect()
}

pub fn membership(group: &str, instance: &str, topic: &Arc<str>, from: From) -> Membership {
    Membership {
        group: Arc::from(group),
        instance: Arc::from(instance),
        topics: vec![(topic.clone(), from)],
        guarantee: Guarantee::ExactlyOnce,
        on_corrupt_progress: OnCorruptProgress::Fail,
    }
}

pub type Sides = (Box<dyn LogReader>, Box<dyn LogWriter>);

pub async fn next(reader: &mut Box<dyn LogReader>) -> Delivery {
    timeout(WAIT, reader.next()).await.expect("a delivery in time").unwrap()
}

pub async fn assigned(reader: &mut Box<dyn LogReader>) -> Assignment {
    match next(reader).await {
        Delivery::Assigned(assignment) => assignment,
        other => panic!("an assignment was expected, not {other:?}"),
    }
}

pub async fn all_assigned(reader: &mut Box<dyn LogReader>, n: usize) -> Vec<Assignment> {
    let mut found = Vec::new();
    while found.len() < n {
        found.push(assigned(reader).await);
    }
    found
}

pub async fn records(reader: &mut Box<dyn LogReader>, n: usize) -> Vec<Record> {
    let mut found = Vec::new();
    while found.len() < n {
        match next(reader).await {
            Delivery::Records(records) => found.extend(records),
            other => panic!("records were expected, not {other:?}"),
        }
    }
    found
}

/// Everything committed in a topic, by value.
pub async fn values(log: &KafkaLog, topic: &str) -> Vec<String> {
    let mut follower = log.follow(topic, From::Earliest).await.unwrap();
    let mut found = Vec::new();
    let read = async {
        while !follower.caught_up() {
            for record in follower.next(Duration::from_secs(1)).await.unwrap() {
                found.push(String::from_utf8_lossy(&record.value.unwrap()).into_owned());
            }
        }
    };
    timeout(WAIT, read).await.expect("the end of the topic in time");
    found
}

pub fn progress(base: i64, sequence: u64) -> Progress {
    Progress { nonce: 7, sequence, ..Progress::starting_at(base) }
}

pub fn batch(outputs: Vec<Output>, assignment: &Assignment, progress: Progress) -> Arc<Batch> {
    Arc::new(Batch { outputs, progress: vec![(assignment.at.clone(), assignment.epoch, progress)] })
}
