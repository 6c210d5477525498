//! What goes wrong: clones, bad outputs, sessions that end, brokers that die.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use tokio::time::timeout;
use vivremotion::stream::kafka::{KafkaConfig, KafkaLog};
use vivremotion::stream::{
    Assignment, CommitErrorKind, Delivery, From, Log, LogReader, LogWriter, OnCorruptProgress,
    Progress, StreamErrorKind, TopicPartition,
};

use super::bench::*;
use crate::story::World;

pub async fn zombie(world: &World) {
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

pub async fn oversized(world: &World) {
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

pub async fn missing_topic(world: &World) {
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

pub async fn given_up(world: &World) {
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

pub async fn corrupt(world: &World) {
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
    assert_eq!(second.progress, Progress::known_by_offset(1));
    reader.close(WAIT).await.unwrap();
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

pub async fn killed_broker(world: &World) {
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

pub async fn frozen_broker(world: &World) {
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

pub async fn ended_session(world: &World) {
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

/// A static member that gives nothing up, and is gone before the second round of a rebalance.
struct Deaf(AtomicBool);

impl ClientContext for Deaf {}

impl ConsumerContext for Deaf {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                consumer.incremental_assign(list).unwrap();
            }
            // Answered when the consumer is being dropped: it does not join again then.
            _ if self.0.swap(true, Ordering::SeqCst) => drop(consumer.unassign()),
            _ => {}
        }
    }
}

pub async fn orphaned(world: &World) {
    let log = log(world);
    let (input, group) = (topic(&log, &world.name("in"), 4).await, world.name("group"));
    let deaf: BaseConsumer<Deaf> = ClientConfig::new()
        .set("bootstrap.servers", world.kafka().brokers())
        .set("group.id", &group)
        .set("group.instance.id", "a")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "60000")
        .set("enable.auto.commit", "false")
        .create_with_context(Deaf(AtomicBool::new(false)))
        .unwrap();
    deaf.subscribe(&[&input]).unwrap();
    let poll = |done: &dyn Fn() -> bool| {
        let end = std::time::Instant::now() + WAIT;
        while !done() {
            assert!(std::time::Instant::now() < end, "the group is balanced in time");
            drop(deaf.poll(Duration::from_millis(50)));
        }
    };
    poll(&|| deaf.assignment().is_ok_and(|list| list.count() == 4));
    let (mut b, _b_writer): Sides =
        log.join(membership(&group, "b", &input, From::Earliest)).await.unwrap();
    poll(&|| deaf.context().0.load(Ordering::SeqCst));
    drop(deaf);

    // Its seat is given to who comes back in its name, and two of the partitions to nobody.
    let (mut a, _a_writer): Sides =
        log.join(membership(&group, "a", &input, From::Earliest)).await.unwrap();
    let held = RefCell::new([BTreeMap::new(), BTreeMap::new()]);
    let all = || held.borrow().iter().map(BTreeMap::len).sum::<usize>() == 4;
    let both = async {
        tokio::select! {
            () = keep(&mut a, &held, 0, &all) => {}
            () = keep(&mut b, &held, 1, &all) => {}
        }
    };
    timeout(WAIT, both).await.expect("no partition is left without an owner");
    a.close(WAIT).await.unwrap();
    b.close(WAIT).await.unwrap();
}
