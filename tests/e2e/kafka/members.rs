//! What goes right: starts, restarts, hand-overs, followers, the probe.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::time::timeout;
use vivremotion::stream::kafka::{KafkaConfig, KafkaLog, probe, probe_name, recall, remember};
use vivremotion::stream::{
    Assignment, CommitErrorKind, Delivery, Epoch, From, Guarantee, Log, Progress, StreamErrorKind,
    TopicPartition,
};

use super::bench::*;
use crate::story::World;

pub async fn first_start(world: &World) {
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

pub async fn first_start_at_the_end(world: &World) {
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

pub async fn restart(world: &World) {
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

pub async fn hand_over(world: &World) {
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

pub async fn paused(world: &World) {
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

pub async fn at_least_once(world: &World) {
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

pub async fn follow(world: &World) {
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

/// A member looks three seconds after its assignment whether all partitions of its group have an owner, which is a question
/// for each topic. Behind the reader's fetches each of them would wait for half a second.
pub async fn watched(world: &World) {
    let log = log(world);
    let mut inputs = Vec::new();
    for n in 0..24 {
        inputs.push(topic(&log, &world.name(&format!("in-{n}")), 1).await);
    }
    let mut membership = membership(&world.name("group"), "a", &inputs[0], From::Earliest);
    membership.topics = inputs.iter().map(|input| (input.clone(), From::Earliest)).collect();
    let (mut reader, _writer): Sides = log.join(membership).await.unwrap();
    all_assigned(&mut reader, inputs.len()).await;
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(5) {
        log.send(numbered(&inputs[0], None, 0..1)).await.unwrap();
        let read = timeout(Duration::from_secs(5), records(&mut reader, 1));
        read.await.expect("a record while the member looks");
    }
    reader.close(WAIT).await.unwrap();
}

pub async fn probed(world: &World) {
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
