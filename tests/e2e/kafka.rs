//! The Kafka member of the log, beyond what every member's suite asks.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, TopicPartitionList};
use tokio::time::timeout;
use vivremotion::stream::kafka::{KafkaConfig, KafkaLog, probe, probe_name, recall, remember};
use vivremotion::stream::{
    Assignment, Batch, CommitErrorKind, Delivery, Epoch, From, Guarantee, Log, LogReader,
    LogWriter, Membership, OnCorruptProgress, Output, Progress, Record, StreamErrorKind, Topic,
    TopicPartition,
};

use crate::services::Need;
use crate::story::{Story, World};

/// The suite that every member of the room passes.
#[macro_use]
#[path = "../it/conformance/log.rs"]
mod conformance;

macro_rules! stories_of {
    ($($name:ident),* $(,)?) => {
        vec![$(Story {
            name: concat!("on_kafka_", stringify!($name)),
            needs: &[Need::Kafka],
            run: |world| conforms(world, stringify!($name)).boxed_local(),
        }),*]
    };
}

/// Nothing here takes longer, a session's end included.
const WAIT: Duration = Duration::from_secs(60);

/// This file's stories.
pub fn stories() -> Vec<Story> {
    let mut stories = own_stories();
    stories.extend(behaviours!(stories_of));
    stories
}

async fn conforms(world: &World, name: &str) {
    let brokers = world.kafka().brokers();
    let open = move || {
        let log: Arc<dyn Log> = Arc::new(log_at(&brokers));
        async { log }.boxed()
    };
    let bench = conformance::Bench { open: Arc::new(open), prefix: world.name("suite") };
    let (_, behaviour) = conformance::suite().into_iter().find(|(own, _)| *own == name).unwrap();
    behaviour(bench).await;
}

fn own_stories() -> Vec<Story> {
    vec![
        Story {
            name: "a_first_start_reads_from_the_beginning_and_commits_whole",
            needs: &[Need::Kafka],
            run: |world| first_start(world).boxed_local(),
        },
        Story {
            name: "a_first_start_at_the_end_commits_its_base_before_the_first_record",
            needs: &[Need::Kafka],
            run: |world| first_start_at_the_end(world).boxed_local(),
        },
        Story {
            name: "a_restart_resumes_the_done_map",
            needs: &[Need::Kafka],
            run: |world| restart(world).boxed_local(),
        },
        Story {
            name: "a_zombie_is_fenced_and_writes_nothing",
            needs: &[Need::Kafka],
            run: |world| zombie(world).boxed_local(),
        },
        Story {
            name: "a_batch_with_an_oversized_output_is_aborted_and_the_output_named",
            needs: &[Need::Kafka],
            run: |world| oversized(world).boxed_local(),
        },
        Story {
            name: "a_batch_for_a_missing_topic_names_the_output_and_makes_no_topic",
            needs: &[Need::Kafka],
            run: |world| missing_topic(world).boxed_local(),
        },
        Story {
            name: "a_second_member_takes_over_what_the_first_has_drained_and_committed",
            needs: &[Need::Kafka],
            run: |world| hand_over(world).boxed_local(),
        },
        Story {
            name: "a_batch_of_a_partition_that_was_given_up_is_stale",
            needs: &[Need::Kafka],
            run: |world| given_up(world).boxed_local(),
        },
        Story {
            name: "a_paused_partition_is_silent_while_others_flow",
            needs: &[Need::Kafka],
            run: |world| paused(world).boxed_local(),
        },
        Story {
            name: "progress_that_cannot_be_read_stops_its_partition_alone",
            needs: &[Need::Kafka],
            run: |world| corrupt(world).boxed_local(),
        },
        Story {
            name: "at_least_once_writes_outputs_then_progress",
            needs: &[Need::Kafka],
            run: |world| at_least_once(world).boxed_local(),
        },
        Story {
            name: "a_follower_passes_over_aborted_records_and_knows_when_it_has_caught_up",
            needs: &[Need::Kafka],
            run: |world| follow(world).boxed_local(),
        },
        Story {
            name: "the_probe_finds_that_a_real_broker_keeps_its_promises",
            needs: &[Need::Kafka],
            run: |world| probed(world).boxed_local(),
        },
        Story {
            name: "commits_in_doubt_while_the_broker_is_killed_are_decided_right",
            needs: &[Need::OwnKafka],
            run: |world| killed_broker(world).boxed_local(),
        },
        Story {
            name: "a_session_that_ends_loses_its_partitions_and_gets_them_back",
            needs: &[Need::OwnKafka],
            run: |world| ended_session(world).boxed_local(),
        },
        Story {
            name: "a_frozen_broker_is_waited_for",
            needs: &[Need::OwnKafka],
            run: |world| frozen_broker(world).boxed_local(),
        },
    ]
}

fn log_at(brokers: &str) -> KafkaLog {
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

fn log(world: &World) -> KafkaLog {
    log_at(&world.kafka().brokers())
}

async fn topic(log: &KafkaLog, name: &str, partitions: i32) -> Arc<str> {
    let name: Arc<str> = Arc::from(name);
    log.create(&[Topic { name: name.clone(), partitions, config: Vec::new() }]).await.unwrap();
    name
}

fn output(topic: &Arc<str>, partition: Option<i32>, value: impl Into<Bytes>) -> Output {
    Output {
        topic: topic.clone(),
        partition,
        key: None,
        value: Some(value.into()),
        headers: vec![("kind".to_owned(), Some(Bytes::from_static(b"test")))],
        timestamp: None,
    }
}

fn numbered(
    topic: &Arc<str>,
    partition: Option<i32>,
    range: std::ops::Range<usize>,
) -> Vec<Output> {
    range.map(|n| output(topic, partition, n.to_string())).collect()
}

fn membership(group: &str, instance: &str, topic: &Arc<str>, from: From) -> Membership {
    Membership {
        group: Arc::from(group),
        instance: Arc::from(instance),
        topics: vec![(topic.clone(), from)],
        guarantee: Guarantee::ExactlyOnce,
        on_corrupt_progress: OnCorruptProgress::Fail,
    }
}

type Sides = (Box<dyn LogReader>, Box<dyn LogWriter>);

async fn next(reader: &mut Box<dyn LogReader>) -> Delivery {
    timeout(WAIT, reader.next()).await.expect("a delivery in time").unwrap()
}

async fn assigned(reader: &mut Box<dyn LogReader>) -> Assignment {
    match next(reader).await {
        Delivery::Assigned(assignment) => assignment,
        other => panic!("an assignment was expected, not {other:?}"),
    }
}

async fn all_assigned(reader: &mut Box<dyn LogReader>, n: usize) -> Vec<Assignment> {
    let mut found = Vec::new();
    while found.len() < n {
        found.push(assigned(reader).await);
    }
    found
}

async fn records(reader: &mut Box<dyn LogReader>, n: usize) -> Vec<Record> {
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
async fn values(log: &KafkaLog, topic: &str) -> Vec<String> {
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

fn progress(base: i64, sequence: u64) -> Progress {
    Progress { nonce: 7, sequence, ..Progress::starting_at(base) }
}

fn batch(outputs: Vec<Output>, assignment: &Assignment, progress: Progress) -> Batch {
    Batch { outputs, progress: vec![(assignment.at.clone(), assignment.epoch, progress)] }
}

async fn first_start(world: &World) {
    let log = log(world);
    let (input, sink) =
        (topic(&log, &world.name("in"), 1).await, topic(&log, &world.name("out"), 1).await);
    log.send(numbered(&input, None, 0..10)).await.unwrap();
    let group = world.name("group");
    let (mut reader, mut writer): Sides =
        log.join(membership(&group, "a", &input, From::Earliest)).await.unwrap();
    let assignment = assigned(&mut reader).await;
    assert!(!assignment.resumed);
    assert_eq!((assignment.progress.base, assignment.end), (0, 10));
    let read = records(&mut reader, 10).await;
    let offsets: Vec<i64> = read.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (0..10).collect::<Vec<_>>());
    assert_eq!(read[3].value.as_deref(), Some(b"3".as_slice()));
    assert_eq!(read[3].headers[0].0, "kind");

    let fence = writer.fence();
    let whole = batch(numbered(&sink, None, 0..10), &assignment, progress(10, 1));
    writer.commit(fence, &whole).await.unwrap();
    assert_eq!(values(&log, &sink).await.len(), 10);
    assert_eq!(log.committed(&group, &input).await.unwrap(), vec![(0, progress(10, 1))]);
    reader.close(WAIT).await.unwrap();
}

async fn first_start_at_the_end(world: &World) {
    let log = log(world);
    let input = topic(&log, &world.name("in"), 1).await;
    log.send(numbered(&input, None, 0..5)).await.unwrap();
    let group = world.name("group");
    let (mut reader, _writer): Sides =
        log.join(membership(&group, "a", &input, From::Latest)).await.unwrap();
    assert_eq!(assigned(&mut reader).await.progress.base, 5);
    // Dies before it commits anything.
    reader.close(WAIT).await.unwrap();
    log.send(numbered(&input, None, 5..8)).await.unwrap();
    let (mut reader, _writer): Sides =
        log.join(membership(&group, "a", &input, From::Latest)).await.unwrap();
    let assignment = assigned(&mut reader).await;
    assert!(assignment.resumed);
    assert_eq!(assignment.progress.base, 5);
    assert_eq!(records(&mut reader, 3).await[0].offset, 5);
    reader.close(WAIT).await.unwrap();
}

async fn restart(world: &World) {
    let log = log(world);
    let (input, sink) =
        (topic(&log, &world.name("in"), 1).await, topic(&log, &world.name("out"), 1).await);
    log.send(numbered(&input, None, 0..10)).await.unwrap();
    let group = world.name("group");
    let done = Progress { high: 9, incomplete: vec![2, 5], ..progress(2, 3) };
    {
        let (mut reader, mut writer): Sides =
            log.join(membership(&group, "a", &input, From::Earliest)).await.unwrap();
        let assignment = assigned(&mut reader).await;
        records(&mut reader, 10).await;
        let fence = writer.fence();
        let whole = batch(numbered(&sink, None, 0..7), &assignment, done.clone());
        writer.commit(fence, &whole).await.unwrap();
        // Neither side is closed: the process is gone.
    }
    let (mut reader, _writer): Sides =
        log.join(membership(&group, "a", &input, From::Earliest)).await.unwrap();
    let assignment = assigned(&mut reader).await;
    assert!(assignment.resumed);
    assert_eq!(assignment.progress, done);
    let read = records(&mut reader, 8).await;
    assert_eq!(
        read[0].offset, 2,
        "records above the base come again, the tracker knows which are done"
    );
    reader.close(WAIT).await.unwrap();
}

async fn zombie(world: &World) {
    let log = log(world);
    let (input, sink) =
        (topic(&log, &world.name("in"), 1).await, topic(&log, &world.name("out"), 1).await);
    log.send(numbered(&input, None, 0..2)).await.unwrap();
    let group = world.name("group");
    let join = || log.join(membership(&group, "same", &input, From::Earliest));
    let (mut old_reader, mut old_writer): Sides = join().await.unwrap();
    let old = assigned(&mut old_reader).await;
    records(&mut old_reader, 2).await;
    let fence = old_writer.fence();

    let (mut reader, mut writer): Sides = join().await.unwrap();
    let new = assigned(&mut reader).await;
    let late = batch(numbered(&sink, None, 100..102), &old, progress(2, 1));
    let refused = old_writer.commit(fence, &late).await.unwrap_err();
    assert_eq!(refused.kind, CommitErrorKind::Fenced, "{}", refused.message);
    let ended = async {
        loop {
            if let Err(error) = old_reader.next().await {
                return error;
            }
        }
    };
    let ended = timeout(WAIT, ended).await.expect("the old reader ends");
    assert_eq!(ended.kind, StreamErrorKind::Fatal, "{}", ended.message);

    let fence = writer.fence();
    writer.commit(fence, &batch(numbered(&sink, None, 0..2), &new, progress(2, 1))).await.unwrap();
    assert_eq!(values(&log, &sink).await, ["0", "1"]);
    reader.close(WAIT).await.unwrap();
}

async fn oversized(world: &World) {
    let log = log(world);
    let (input, sink) =
        (topic(&log, &world.name("in"), 1).await, topic(&log, &world.name("out"), 1).await);
    let group = world.name("group");
    let (mut reader, mut writer): Sides =
        log.join(membership(&group, "a", &input, From::Earliest)).await.unwrap();
    let assignment = assigned(&mut reader).await;
    // Compression must not save it.
    let noise: Vec<u8> = (0..2_000_000).map(|_| rand::random()).collect();
    let mut outputs = numbered(&sink, None, 0..3);
    outputs[1] = output(&sink, None, noise);
    let fence = writer.fence();
    let refused = writer
        .commit(fence, &batch(outputs.clone(), &assignment, progress(0, 1)))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, CommitErrorKind::Unwritable(Some(1)), "{}", refused.message);
    assert!(values(&log, &sink).await.is_empty(), "nothing of the batch is seen");
    assert_eq!(log.committed(&group, &input).await.unwrap(), vec![(0, Progress::starting_at(0))]);

    outputs.remove(1);
    let fence = writer.fence();
    writer.commit(fence, &batch(outputs, &assignment, progress(0, 2))).await.unwrap();
    assert_eq!(values(&log, &sink).await, ["0", "2"]);
    reader.close(WAIT).await.unwrap();
}

async fn missing_topic(world: &World) {
    let log = log(world);
    let (input, sink) =
        (topic(&log, &world.name("in"), 1).await, topic(&log, &world.name("out"), 1).await);
    let group = world.name("group");
    let (mut reader, mut writer): Sides =
        log.join(membership(&group, "a", &input, From::Earliest)).await.unwrap();
    let assignment = assigned(&mut reader).await;
    let absent: Arc<str> = Arc::from(world.name("absent"));
    let mut outputs = numbered(&sink, None, 0..2);
    outputs.push(output(&absent, None, "x"));
    let fence = writer.fence();
    let refused =
        writer.commit(fence, &batch(outputs, &assignment, progress(0, 1))).await.unwrap_err();
    assert_eq!(refused.kind, CommitErrorKind::Unwritable(Some(2)), "{}", refused.message);
    let fence = writer.fence();
    let outputs = vec![output(&sink, Some(9), "x")];
    let refused =
        writer.commit(fence, &batch(outputs, &assignment, progress(0, 2))).await.unwrap_err();
    assert_eq!(refused.kind, CommitErrorKind::Unwritable(Some(0)), "{}", refused.message);
    assert!(values(&log, &sink).await.is_empty());
    assert!(log.topics().await.unwrap().iter().all(|topic| topic.name != absent));
    reader.close(WAIT).await.unwrap();
}

async fn hand_over(world: &World) {
    let log = log(world);
    let (input, sink) =
        (topic(&log, &world.name("in"), 4).await, topic(&log, &world.name("out"), 1).await);
    for partition in 0..4 {
        log.send(numbered(&input, Some(partition), 0..3)).await.unwrap();
    }
    let group = world.name("group");
    let (mut a, mut a_writer): Sides =
        log.join(membership(&group, "a", &input, From::Earliest)).await.unwrap();
    let owned: BTreeMap<i32, Assignment> =
        all_assigned(&mut a, 4).await.into_iter().map(|one| (one.at.partition, one)).collect();
    records(&mut a, 12).await;

    let (mut b, mut b_writer): Sides =
        log.join(membership(&group, "b", &input, From::Earliest)).await.unwrap();
    let mut leaving: Vec<(TopicPartition, Epoch)> = Vec::new();
    while leaving.len() < 2 {
        match next(&mut a).await {
            Delivery::Revoked(revocation) => leaving.push((revocation.at, revocation.epoch)),
            other => panic!("a revocation was expected, not {other:?}"),
        }
    }
    // Still its own until it lets go: the last commit of the drain.
    for (at, _) in &leaving {
        let done = batch(numbered(&sink, None, 0..3), &owned[&at.partition], progress(3, 1));
        let fence = a_writer.fence();
        a_writer.commit(fence, &done).await.unwrap();
    }
    for (at, epoch) in &leaving {
        a.release(at, *epoch);
    }
    let moved = all_assigned(&mut b, 2).await;
    let expected: BTreeSet<i32> = leaving.iter().map(|(at, _)| at.partition).collect();
    assert_eq!(moved.iter().map(|one| one.at.partition).collect::<BTreeSet<_>>(), expected);
    for assignment in &moved {
        assert!(assignment.resumed);
        assert_eq!(assignment.progress, progress(3, 1));
    }
    // Both go on with what they have.
    let kept = owned.values().find(|one| !expected.contains(&one.at.partition)).unwrap();
    let fence = a_writer.fence();
    a_writer
        .commit(fence, &batch(numbered(&sink, None, 0..1), kept, progress(1, 1)))
        .await
        .unwrap();
    let fence = b_writer.fence();
    b_writer
        .commit(fence, &batch(numbered(&sink, None, 0..1), &moved[0], progress(3, 2)))
        .await
        .unwrap();
    assert_eq!(values(&log, &sink).await.len(), 8);
    a.close(WAIT).await.unwrap();
    b.close(WAIT).await.unwrap();
}

async fn given_up(world: &World) {
    let log = log(world);
    let (input, sink) =
        (topic(&log, &world.name("in"), 2).await, topic(&log, &world.name("out"), 1).await);
    let group = world.name("group");
    let (mut a, mut a_writer): Sides =
        log.join(membership(&group, "a", &input, From::Earliest)).await.unwrap();
    let owned = all_assigned(&mut a, 2).await;
    // Taken before anything moves, used after.
    let old_fence = a_writer.fence();
    let (mut b, _b_writer): Sides =
        log.join(membership(&group, "b", &input, From::Earliest)).await.unwrap();
    let Delivery::Revoked(revocation) = next(&mut a).await else { panic!("a revocation") };
    a.release(&revocation.at, revocation.epoch);
    let moved = assigned(&mut b).await;
    assert_eq!(moved.at, revocation.at);
    let gone = owned.iter().find(|one| one.at == revocation.at).unwrap();
    let kept = owned.iter().find(|one| one.at != revocation.at).unwrap();

    let late = batch(numbered(&sink, None, 0..1), gone, progress(0, 1));
    let fence = a_writer.fence();
    let refused = a_writer.commit(fence, &late).await.unwrap_err();
    assert_eq!(refused.kind, CommitErrorKind::Stale, "a new fence: {}", refused.message);
    let kept_late = batch(numbered(&sink, None, 0..1), kept, progress(0, 1));
    let refused = a_writer.commit(old_fence, &kept_late).await.unwrap_err();
    assert_eq!(refused.kind, CommitErrorKind::Stale, "an old fence: {}", refused.message);
    assert!(values(&log, &sink).await.is_empty());
    let fence = a_writer.fence();
    a_writer.commit(fence, &kept_late).await.unwrap();
    a.close(WAIT).await.unwrap();
    b.close(WAIT).await.unwrap();
}

async fn paused(world: &World) {
    let log = log(world);
    let input = topic(&log, &world.name("in"), 2).await;
    let (mut reader, _writer): Sides =
        log.join(membership(&world.name("group"), "a", &input, From::Earliest)).await.unwrap();
    let quiet = all_assigned(&mut reader, 2).await.remove(0).at;
    let other = 1 - quiet.partition;
    reader.pause(&quiet, true);
    log.send(numbered(&input, Some(quiet.partition), 0..5)).await.unwrap();
    log.send(numbered(&input, Some(other), 0..5)).await.unwrap();
    assert!(records(&mut reader, 5).await.iter().all(|record| record.at.partition == other));
    assert!(timeout(Duration::from_secs(1), reader.next()).await.is_err(), "it stays silent");
    reader.pause(&quiet, false);
    let read = records(&mut reader, 5).await;
    assert!(read.iter().all(|record| record.at == quiet));
    assert_eq!(read[0].offset, 0);
    reader.close(WAIT).await.unwrap();
}

async fn corrupt(world: &World) {
    let log = log(world);
    let input = topic(&log, &world.name("in"), 2).await;
    log.send(numbered(&input, Some(0), 0..3)).await.unwrap();
    log.send(numbered(&input, Some(1), 0..3)).await.unwrap();
    let group = world.name("group");
    let operator: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", world.kafka().brokers())
        .set("group.id", &group)
        .create()
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    let mut element = offsets.add_partition(&input, 1);
    element.set_offset(rdkafka::Offset::Offset(1)).unwrap();
    element.set_metadata("written by somebody else");
    let commit = |list: &TopicPartitionList| {
        use rdkafka::consumer::{CommitMode, Consumer};
        operator.commit(list, CommitMode::Sync).unwrap();
    };
    commit(&offsets);

    let (mut reader, _writer): Sides =
        log.join(membership(&group, "a", &input, From::Earliest)).await.unwrap();
    let error = timeout(WAIT, reader.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind, StreamErrorKind::CorruptProgress);
    assert!(error.message.contains(&format!("{input}/1")), "{}", error.message);
    assert_eq!(assigned(&mut reader).await.at.partition, 0);
    assert!(records(&mut reader, 3).await.iter().all(|record| record.at.partition == 0));
    reader.close(WAIT).await.unwrap();

    let mut replaying = membership(&group, "a", &input, From::Earliest);
    replaying.on_corrupt_progress = OnCorruptProgress::Replay;
    let (mut reader, _writer): Sides = log.join(replaying).await.unwrap();
    let both = all_assigned(&mut reader, 2).await;
    let second = both.iter().find(|one| one.at.partition == 1).unwrap();
    assert_eq!(second.progress, Progress::starting_at(1));
    reader.close(WAIT).await.unwrap();
}

async fn at_least_once(world: &World) {
    let log = log(world);
    let (input, sink) =
        (topic(&log, &world.name("in"), 1).await, topic(&log, &world.name("out"), 1).await);
    log.send(numbered(&input, None, 0..3)).await.unwrap();
    let group = world.name("group");
    let mut joining = membership(&group, "a", &input, From::Earliest);
    joining.guarantee = Guarantee::AtLeastOnce;
    let (mut reader, mut writer): Sides = log.join(joining).await.unwrap();
    let assignment = assigned(&mut reader).await;
    records(&mut reader, 3).await;
    let fence = writer.fence();
    let done = Progress { high: 3, incomplete: vec![1], ..progress(1, 1) };
    writer
        .commit(fence, &batch(numbered(&sink, None, 0..2), &assignment, done.clone()))
        .await
        .unwrap();
    assert_eq!(values(&log, &sink).await, ["0", "1"]);
    assert_eq!(log.committed(&group, &input).await.unwrap(), vec![(0, done.clone())]);

    let noise: Vec<u8> = (0..2_000_000).map(|_| rand::random()).collect();
    let fence = writer.fence();
    let refused = writer
        .commit(fence, &batch(vec![output(&sink, None, noise)], &assignment, progress(3, 2)))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, CommitErrorKind::Unwritable(Some(0)), "{}", refused.message);
    assert_eq!(log.committed(&group, &input).await.unwrap(), vec![(0, done)]);
    reader.close(WAIT).await.unwrap();
}

async fn follow(world: &World) {
    let log = log(world);
    let sink = topic(&log, &world.name("out"), 1).await;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", world.kafka().brokers())
        .set("transactional.id", world.name("writer"))
        .create()
        .unwrap();
    let produce = |value: &str| {
        producer.send(BaseRecord::<(), str>::to(&sink).payload(value)).map_err(|(e, _)| e).unwrap();
        producer.flush(WAIT).unwrap();
    };
    producer.init_transactions(WAIT).unwrap();
    producer.begin_transaction().unwrap();
    produce("kept");
    producer.commit_transaction(WAIT).unwrap();
    producer.begin_transaction().unwrap();
    produce("dropped");
    producer.abort_transaction(WAIT).unwrap();
    // The topic ends with an aborted record and two markers: nothing that could be delivered.
    assert_eq!(values(&log, &sink).await, ["kept"]);
    let extent = log.extents(&sink).await.unwrap().remove(0);
    assert_eq!((extent.low, extent.high), (0, 4));

    producer.begin_transaction().unwrap();
    produce("open");
    assert_eq!(log.extents(&sink).await.unwrap()[0].high, 4, "what is open is not there yet");
    let mut late = log.follow(&sink, From::Latest).await.unwrap();
    assert!(late.caught_up());
    assert!(late.next(Duration::from_millis(300)).await.unwrap().is_empty());
    producer.commit_transaction(WAIT).unwrap();
    let read = timeout(WAIT, late.next(WAIT)).await.unwrap().unwrap();
    assert_eq!(read[0].value.as_deref(), Some(b"open".as_slice()));
}

async fn probed(world: &World) {
    let config = KafkaConfig {
        brokers: world.kafka().brokers(),
        client: Vec::new(),
        group_prefix: world.name("prefix"),
    };
    let absent = probe(&config).await.unwrap_err();
    assert_eq!(absent.kind, StreamErrorKind::UnknownTopic, "{}", absent.message);
    let log = KafkaLog::new(config.clone()).unwrap();
    topic(&log, &probe_name(&config), 1).await;
    // Two engines that start together.
    let (one, other) = tokio::join!(probe(&config), probe(&config));
    for verdict in [one, other] {
        let verdict = verdict.unwrap();
        assert!(verdict.holds(), "{:?}", verdict.refusals);
    }
    let cluster = log.cluster().await.unwrap();
    assert!(!recall(world.dir(), &cluster));
    remember(world.dir(), &cluster).unwrap();
    assert!(recall(world.dir(), &cluster));
    assert!(!recall(world.dir(), "another"));
}

/// Commits `n` batches of two records; repeats one that was not written, as the committer does.
async fn commit_all(
    writer: &mut Box<dyn LogWriter>,
    sink: &Arc<str>,
    assignment: &Assignment,
    n: usize,
    mut between: impl AsyncFnMut(usize),
) {
    let mut sequence = 0;
    for round in 0..n {
        between(round).await;
        let outputs = numbered(sink, None, round * 2..round * 2 + 2);
        let attempt = async {
            loop {
                sequence += 1;
                let base = i64::try_from(round).unwrap() + 1;
                let whole = batch(outputs.clone(), assignment, progress(base, sequence));
                let fence = writer.fence();
                match writer.commit(fence, &whole).await {
                    Ok(()) => return,
                    Err(error) if error.kind == CommitErrorKind::Transient => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => panic!("round {round}: {:?} {}", error.kind, error.message),
                }
            }
        };
        timeout(Duration::from_secs(120), attempt).await.expect("a batch in time");
    }
}

fn long_session(brokers: &str) -> KafkaLog {
    KafkaLog::new(KafkaConfig {
        brokers: brokers.to_owned(),
        client: vec![("reconnect.backoff.max.ms".to_owned(), "200".to_owned())],
        group_prefix: "stories".to_owned(),
    })
    .unwrap()
}

async fn killed_broker(world: &World) {
    let kafka = Arc::new(world.own_kafka());
    let log = long_session(&kafka.brokers());
    let (input, sink) = (topic(&log, "in", 1).await, topic(&log, "out", 3).await);
    log.send(numbered(&input, None, 0..400)).await.unwrap();
    let (mut reader, mut writer): Sides =
        log.join(membership("group", "a", &input, From::Earliest)).await.unwrap();
    let assignment = assigned(&mut reader).await;
    let rounds = 200;
    // Kills fall anywhere in a commit: the broker is killed from another thread while batches go on.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let victim = kafka.clone();
    let killer = std::thread::spawn(move || {
        let mut kills = 0;
        while stopped.recv_timeout(Duration::from_millis(700)).is_err() && kills < 3 {
            victim.restart();
            kills += 1;
        }
        kills
    });
    commit_all(&mut writer, &sink, &assignment, rounds, async |_| {
        tokio::time::sleep(Duration::from_millis(15)).await;
    })
    .await;
    let _ = stop.send(());
    assert!(killer.join().unwrap() > 0);
    let mut found = values(&log, &sink).await;
    found.sort_by_key(|value| value.parse::<usize>().unwrap());
    let expected: Vec<String> = (0..rounds * 2).map(|n| n.to_string()).collect();
    assert_eq!(found, expected, "each once");
    reader.close(WAIT).await.unwrap();
}

async fn frozen_broker(world: &World) {
    let kafka = Arc::new(world.own_kafka());
    let log = long_session(&kafka.brokers());
    let (input, sink) = (topic(&log, "in", 1).await, topic(&log, "out", 3).await);
    log.send(numbered(&input, None, 0..10)).await.unwrap();
    let (mut reader, mut writer): Sides =
        log.join(membership("group", "a", &input, From::Earliest)).await.unwrap();
    let assignment = assigned(&mut reader).await;
    let frozen = kafka.clone();
    let mut thaw = None;
    commit_all(&mut writer, &sink, &assignment, 20, async |round| {
        if round == 10 {
            frozen.signal("STOP");
            let frozen = frozen.clone();
            // Longer than a request may take: what was under way is in doubt.
            thaw = Some(std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(14));
                frozen.signal("CONT");
            }));
        }
    })
    .await;
    thaw.unwrap().join().unwrap();
    let mut found = values(&log, &sink).await;
    found.sort_by_key(|value| value.parse::<usize>().unwrap());
    let expected: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(found, expected, "each once");
    reader.close(WAIT).await.unwrap();
}

async fn ended_session(world: &World) {
    let kafka = world.own_kafka();
    let log = log_at(&kafka.brokers());
    let (input, sink) = (topic(&log, "in", 2).await, topic(&log, "out", 1).await);
    let (mut a, mut writer): Sides =
        log.join(membership("group", "a", &input, From::Earliest)).await.unwrap();
    let mut owned = all_assigned(&mut a, 2).await;
    let freeze = || {
        kafka.signal("STOP");
        std::thread::sleep(Duration::from_secs(9));
        kafka.signal("CONT");
    };

    // In peace: both are lost, and a batch of them is not written, whatever the fence says.
    freeze();
    let mut epochs = owned.iter().map(|one| one.epoch.0).max().unwrap();
    owned = lost_and_back(&mut a, &mut writer, &sink, owned).await;
    assert!(owned.iter().all(|one| one.epoch.0 > epochs));

    // In the middle of a drain, where the client itself would keep the other partition and not tell.
    let (mut b, _b_writer): Sides =
        log.join(membership("group", "b", &input, From::Earliest)).await.unwrap();
    let Delivery::Revoked(_) = next(&mut a).await else { panic!("a revocation") };
    freeze();
    epochs = owned.iter().map(|one| one.epoch.0).max().unwrap();
    let mut lost = BTreeSet::new();
    while lost.len() < 2 {
        if let Ok(Delivery::Lost(at, epoch)) = timeout(WAIT, a.next()).await.unwrap() {
            assert!(owned.iter().any(|one| one.at == at && one.epoch == epoch));
            lost.insert(at);
        }
    }
    // Each ends up with one of the two, however often they change hands on the way.
    let held = RefCell::new([BTreeMap::new(), BTreeMap::new()]);
    let shared_out = || {
        let held = held.borrow();
        held.iter().all(|own| own.len() == 1) && !held[0].keys().eq(held[1].keys())
    };
    let both = async {
        tokio::select! {
            () = keep(&mut a, &held, 0, &shared_out) => {}
            () = keep(&mut b, &held, 1, &shared_out) => {}
        }
    };
    timeout(WAIT, both).await.expect("one partition each");
    assert!(held.borrow()[0].values().all(|epoch| *epoch > epochs));
}

/// Follows the reader, letting go at once of what is revoked, until `enough`.
async fn keep(
    reader: &mut Box<dyn LogReader>,
    held: &RefCell<[BTreeMap<TopicPartition, u64>; 2]>,
    own: usize,
    enough: &dyn Fn() -> bool,
) {
    while !enough() {
        match reader.next().await {
            Ok(Delivery::Assigned(one)) => {
                held.borrow_mut()[own].insert(one.at, one.epoch.0);
            }
            Ok(Delivery::Revoked(revocation)) => {
                reader.release(&revocation.at, revocation.epoch);
                held.borrow_mut()[own].remove(&revocation.at);
            }
            Ok(Delivery::Lost(at, _)) => {
                held.borrow_mut()[own].remove(&at);
            }
            Ok(Delivery::Records(_)) => {}
            Err(error) => assert_eq!(error.kind, StreamErrorKind::Unavailable, "{}", error.message),
        }
    }
}

async fn lost_and_back(
    reader: &mut Box<dyn LogReader>,
    writer: &mut Box<dyn LogWriter>,
    sink: &Arc<str>,
    owned: Vec<Assignment>,
) -> Vec<Assignment> {
    let (mut lost, mut back) = (0, Vec::new());
    while back.len() < owned.len() {
        match timeout(WAIT, reader.next()).await.expect("a delivery in time") {
            Ok(Delivery::Lost(..)) => lost += 1,
            Ok(Delivery::Assigned(assignment)) => back.push(assignment),
            Ok(other) => panic!("a loss was expected, not {other:?}"),
            // It says that no broker is there.
            Err(error) => assert_eq!(error.kind, StreamErrorKind::Unavailable, "{}", error.message),
        }
    }
    assert_eq!(lost, owned.len());
    let late = batch(numbered(sink, None, 0..1), &owned[0], progress(0, 1));
    let fence = writer.fence();
    let refused = writer.commit(fence, &late).await.unwrap_err();
    assert_eq!(refused.kind, CommitErrorKind::Stale, "{}", refused.message);
    back
}
