//! The log in memory: every member's suite, and what harness and simulation ask of it.

use std::sync::Arc;
use std::time::Duration;

use vivremotion::base::clock::HeldClock;
use vivremotion::stream::memory::Memory;
use vivremotion::stream::{
    Assignment, Batch, CommitError, CommitErrorKind, Delivery, Epoch, From, Guarantee, Log,
    LogReader, LogWriter, Membership, OnCorruptProgress, Output, Progress, StreamErrorKind, Topic,
    TopicPartition,
};

use super::log::Bench;

fn memory() -> Memory {
    Memory::new(Arc::new(HeldClock::new(1_790_000_000_000, 1)))
}

fn bench(name: &str) -> Bench {
    let memory = memory();
    let open = move || -> futures::future::BoxFuture<'static, Arc<dyn Log>> {
        let memory: Arc<dyn Log> = Arc::new(memory.clone());
        Box::pin(async { memory })
    };
    Bench { open: Arc::new(open), prefix: name.to_owned() }
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test(start_paused = true)]
        async fn $name() {
            let suite = super::log::suite();
            let (_, behaviour) = suite.iter().find(|(name, _)| *name == stringify!($name)).unwrap();
            behaviour(bench("t")).await;
        })*
    };
}
behaviours!(tests);

// ---- what only this one does ----

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: "in".into(), partition }
}

async fn with_partitions(partitions: i32) -> Memory {
    let memory = memory();
    let topic = |name: &str| Topic { name: name.into(), partitions, config: vec![] };
    memory.create(&[topic("in"), topic("out")]).await.unwrap();
    memory
}

async fn join(memory: &Memory, instance: &str) -> (Box<dyn LogReader>, Box<dyn LogWriter>) {
    let membership = Membership {
        group: "group".into(),
        instance: instance.into(),
        topics: vec![("in".into(), From::Earliest)],
        guarantee: Guarantee::ExactlyOnce,
        on_corrupt_progress: OnCorruptProgress::Fail,
    };
    memory.join(membership).await.unwrap()
}

/// What is there now, without waiting.
async fn now(reader: &mut Box<dyn LogReader>) -> Option<Delivery> {
    tokio::time::timeout(Duration::ZERO, reader.next()).await.ok().map(Result::unwrap)
}

async fn assigned(reader: &mut Box<dyn LogReader>) -> Vec<Assignment> {
    let mut found = Vec::new();
    while let Some(delivery) = now(reader).await {
        match delivery {
            Delivery::Assigned(assignment) => found.push(assignment),
            other => panic!("{other:?}"),
        }
    }
    found
}

fn batch(partition: i32, epoch: Epoch, base: i64) -> Arc<Batch> {
    let output = Output {
        topic: "out".into(),
        partition: Some(0),
        key: None,
        value: Some("x".into()),
        headers: vec![],
        timestamp: None,
    };
    let progress = Progress { sequence: base as u64, ..Progress::starting_at(base) };
    Arc::new(Batch { outputs: vec![output], progress: vec![(at(partition), epoch, progress)] })
}

fn kind(written: Result<(), CommitError>) -> Result<(), CommitErrorKind> {
    written.map_err(|error| error.kind)
}

#[tokio::test]
async fn a_revoked_partition_can_be_committed_until_it_is_released_and_comes_back_anew() {
    let memory = with_partitions(1).await;
    let (mut reader, mut writer) = join(&memory, "one").await;
    let first = assigned(&mut reader).await.remove(0);
    let before = writer.fence();
    memory.revoke(&at(0));
    let stale = writer.commit(before, &batch(0, first.epoch, 1)).await;
    assert_eq!(kind(stale), Err(CommitErrorKind::Stale));
    let untold = writer.fence();
    let stale = writer.commit(untold, &batch(0, first.epoch, 1)).await;
    assert_eq!(kind(stale), Err(CommitErrorKind::Stale), "the member does not know of it yet");
    let Some(Delivery::Revoked(revocation)) = now(&mut reader).await else { panic!() };
    assert_eq!((revocation.at, revocation.epoch), (at(0), first.epoch));
    writer.commit(writer.fence(), &batch(0, first.epoch, 1)).await.unwrap();
    let before = writer.fence();
    reader.release(&at(0), first.epoch);
    let late = writer.commit(before, &batch(0, first.epoch, 2)).await;
    assert_eq!(kind(late), Err(CommitErrorKind::Stale));
    let second = assigned(&mut reader).await.remove(0);
    assert!(second.epoch > first.epoch && second.resumed);
    assert_eq!(second.progress.base, 1);
    assert_eq!(memory.records("out").len(), 1);
}

#[tokio::test]
async fn a_lost_partition_takes_its_uncommitted_work_with_it() {
    let memory = with_partitions(1).await;
    let (mut reader, mut writer) = join(&memory, "one").await;
    let first = assigned(&mut reader).await.remove(0);
    let before = writer.fence();
    memory.lose(&at(0));
    let stale = writer.commit(before, &batch(0, first.epoch, 1)).await;
    assert_eq!(kind(stale), Err(CommitErrorKind::Stale));
    let Some(Delivery::Lost(lost, epoch)) = now(&mut reader).await else { panic!() };
    assert_eq!((lost, epoch), (at(0), first.epoch));
    let second = assigned(&mut reader).await.remove(0);
    assert!(second.epoch > first.epoch);
    let forgotten = writer.commit(writer.fence(), &batch(0, first.epoch, 1)).await;
    assert_eq!(
        kind(forgotten),
        Err(CommitErrorKind::Fatal),
        "an ended assignment, under a live fence"
    );
    assert_eq!(memory.records("out"), []);
}

#[tokio::test]
async fn members_share_partitions_and_a_crash_hands_them_over() {
    let memory = with_partitions(4).await;
    let (mut first, _writer) = join(&memory, "one").await;
    assert_eq!(assigned(&mut first).await.len(), 4);
    let (mut second, mut writer) = join(&memory, "two").await;
    assert_eq!(assigned(&mut second).await.len(), 0, "nothing is taken by itself");
    memory.revoke(&at(2));
    let Some(Delivery::Revoked(revocation)) = now(&mut first).await else { panic!() };
    first.release(&at(2), revocation.epoch);
    let taken = assigned(&mut second).await;
    assert_eq!(taken.len(), 1);
    writer.commit(writer.fence(), &batch(2, taken[0].epoch, 7)).await.unwrap();
    drop(first);
    let rest = assigned(&mut second).await;
    assert_eq!(rest.iter().map(|a| a.at.partition).collect::<Vec<_>>(), [0, 1, 3]);
    drop(second);
    let (mut third, _writer) = join(&memory, "three").await;
    let all = assigned(&mut third).await;
    assert_eq!(all.iter().map(|a| a.progress.base).collect::<Vec<_>>(), [0, 0, 7, 0]);
}

#[tokio::test]
async fn the_newer_member_of_one_name_fences_the_older() {
    let memory = with_partitions(1).await;
    let (mut old, mut writer) = join(&memory, "one").await;
    let first = assigned(&mut old).await.remove(0);
    let fence = writer.fence();
    let (mut new, _writer) = join(&memory, "one").await;
    assert_eq!(assigned(&mut new).await.len(), 1);
    let fenced = writer.commit(fence, &batch(0, first.epoch, 1)).await;
    assert_eq!(kind(fenced), Err(CommitErrorKind::Fenced));
    let gone = old.next().await.map_err(|error| error.kind);
    assert!(matches!(gone, Err(StreamErrorKind::Fatal)));
}

#[tokio::test]
async fn commits_fail_as_often_as_they_are_told_and_a_restart_keeps_what_was_committed() {
    let memory = with_partitions(1).await;
    let (mut reader, mut writer) = join(&memory, "one").await;
    let first = assigned(&mut reader).await.remove(0);
    memory.fail_next_commit(CommitErrorKind::Transient);
    memory.fail_next_commit(CommitErrorKind::Unwritable(None));
    for expected in
        [Err(CommitErrorKind::Transient), Err(CommitErrorKind::Unwritable(None)), Ok(())]
    {
        let written = writer.commit(writer.fence(), &batch(0, first.epoch, 1)).await;
        assert_eq!(kind(written), expected);
    }
    memory.restart();
    let fenced = writer.commit(writer.fence(), &batch(0, first.epoch, 2)).await;
    assert_eq!(kind(fenced), Err(CommitErrorKind::Fenced));
    let (mut reader, _writer) = join(&memory, "one").await;
    assert_eq!(assigned(&mut reader).await[0].progress.base, 1);
    assert_eq!(memory.records("out").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn commits_take_the_time_they_are_told_to() {
    let memory = with_partitions(1).await;
    let (mut reader, mut writer) = join(&memory, "one").await;
    let first = assigned(&mut reader).await.remove(0);
    memory.commits_take(Duration::from_secs(3));
    let began = tokio::time::Instant::now();
    writer.commit(writer.fence(), &batch(0, first.epoch, 1)).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn gaps_and_dropped_records_are_skipped() {
    let memory = with_partitions(1).await;
    let send = async |value: &'static str| {
        let output = Output {
            topic: "in".into(),
            value: Some(value.into()),
            ..batch(0, Epoch(0), 0).outputs[0].clone()
        };
        memory.send(vec![output]).await.unwrap();
    };
    send("a").await;
    send("b").await;
    memory.skip(&at(0), 10);
    send("c").await;
    memory.trim(&at(0), 1);
    let (mut reader, _writer) = join(&memory, "one").await;
    assert!(matches!(now(&mut reader).await, Some(Delivery::Assigned(a)) if a.progress.base == 1));
    let Some(Delivery::Records(records)) = now(&mut reader).await else { panic!() };
    assert_eq!(records.iter().map(|r| r.offset).collect::<Vec<_>>(), [1, 12]);
    let extent = memory.extents("in").await.unwrap().remove(0);
    assert_eq!((extent.low, extent.high), (1, 13));
}

#[tokio::test]
async fn unreadable_progress_stops_the_member_that_gets_it() {
    let memory = with_partitions(1).await;
    memory.set_committed("group", &at(0), 5, "not ours");
    let (mut reader, _writer) = join(&memory, "one").await;
    let refused = reader.next().await.map_err(|error| error.kind);
    assert!(matches!(refused, Err(StreamErrorKind::CorruptProgress)));
}
