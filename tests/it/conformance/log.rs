//! The log room's conformance suite: what every member promises. Each behaviour takes a [`Bench`] and makes topics and
//! groups of its own in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use vivremotion::stream::{
    Assignment, Batch, CommitErrorKind, Delivery, From, Guarantee, Log, LogReader, LogWriter,
    Membership, OnCorruptProgress, Output, Progress, Record, StreamErrorKind, Topic,
    TopicPartition,
};

/// Nothing here takes longer, the slow start of a real broker's group included.
const WAIT: Duration = Duration::from_secs(60);

/// What a behaviour is tried on.
#[derive(Clone)]
pub struct Bench {
    /// Opens a handle on the log; each one as another process would.
    pub open: Arc<dyn Fn() -> BoxFuture<'static, Arc<dyn Log>> + Send + Sync>,
    /// Keeps the topics and groups of this behaviour apart from others in the same log.
    pub prefix: String,
}

/// A behaviour, as a runner calls it.
pub type Behaviour = fn(Bench) -> BoxFuture<'static, ()>;

/// Names every behaviour once, and hands the names to a macro that makes something of them.
macro_rules! behaviours {
    ($make:ident) => {
        $make! {
            the_cluster_is_the_same_for_every_handle,
            a_topic_is_made_once_and_listed,
            records_arrive_as_they_were_sent,
            a_record_without_a_time_gets_one,
            a_record_of_a_megabyte_arrives,
            many_topics_are_read_by_one_member,
            a_group_that_never_committed_starts_where_it_is_told,
            a_start_is_resolved_once,
            records_arrive_in_the_order_of_their_offsets,
            outputs_and_progress_become_visible_together,
            progress_comes_back_as_it_was_committed,
            progress_alone_can_be_committed,
            a_restart_goes_on_where_the_last_commit_ended,
            a_paused_topic_waits_until_it_flows_again,
            a_batch_with_an_output_too_large_leaves_nothing,
            a_batch_for_a_missing_topic_leaves_nothing,
            what_is_not_there_is_said_to_be_missing,
            extents_tell_what_a_topic_holds,
            a_follower_says_when_it_has_caught_up,
            groups_do_not_share_progress,
        }
    };
}

macro_rules! list {
    ($($name:ident),* $(,)?) => {
        /// Every behaviour with its name.
        pub fn suite() -> Vec<(&'static str, Behaviour)> {
            vec![$((stringify!($name), |bench| Box::pin($name(bench)))),*]
        }
    };
}
behaviours!(list);

// ---- what the behaviours are made of ----

impl Bench {
    async fn log(&self) -> Arc<dyn Log> {
        (self.open)().await
    }

    /// A log with these topics, each with one partition.
    async fn with<const N: usize>(&self, names: [&str; N]) -> (Arc<dyn Log>, [Arc<str>; N]) {
        let log = self.log().await;
        let names = names.map(|name| Arc::<str>::from(format!("{}-{name}", self.prefix)));
        let topics: Vec<Topic> = names.iter().map(topic).collect();
        log.create(&topics).await.unwrap();
        (log, names)
    }

    fn group(&self, topics: &[&Arc<str>], from: From) -> Membership {
        Membership {
            group: format!("{}-group", self.prefix).into(),
            instance: "one".into(),
            topics: topics.iter().map(|topic| (Arc::clone(topic), from)).collect(),
            guarantee: Guarantee::ExactlyOnce,
            on_corrupt_progress: OnCorruptProgress::Fail,
        }
    }
}

fn topic(name: &Arc<str>) -> Topic {
    Topic { name: name.clone(), partitions: 1, config: Vec::new() }
}

fn at(topic: &Arc<str>) -> TopicPartition {
    TopicPartition { topic: topic.clone(), partition: 0 }
}

fn output(topic: &Arc<str>, value: impl Into<Bytes>) -> Output {
    Output {
        topic: topic.clone(),
        partition: None,
        key: Some(Bytes::from_static(b"key")),
        value: Some(value.into()),
        headers: Vec::new(),
        timestamp: None,
    }
}

fn numbered(topic: &Arc<str>, numbers: std::ops::Range<u32>) -> Vec<Output> {
    numbers.map(|n| output(topic, n.to_string())).collect()
}

fn values(records: &[Record]) -> Vec<String> {
    let text = |record: &Record| {
        String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
    };
    records.iter().map(text).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Everything that stands in a topic now.
async fn contents(log: &Arc<dyn Log>, topic: &Arc<str>) -> Vec<Record> {
    let mut follower = log.follow(topic, From::Earliest).await.unwrap();
    let mut records = Vec::new();
    while !follower.caught_up() {
        records.extend(follower.next(Duration::from_secs(5)).await.unwrap());
    }
    records
}

/// A member with what it was told so far.
struct Seat {
    reader: Box<dyn LogReader>,
    writer: Box<dyn LogWriter>,
    assigned: BTreeMap<TopicPartition, Assignment>,
    records: Vec<Record>,
}

impl Seat {
    /// Joins, and waits until every topic is assigned.
    async fn take(log: &Arc<dyn Log>, membership: Membership) -> Seat {
        let topics = membership.topics.len();
        let (reader, writer) = log.join(membership).await.unwrap();
        let mut seat = Seat { reader, writer, assigned: BTreeMap::new(), records: Vec::new() };
        while seat.assigned.len() < topics {
            seat.step().await;
        }
        seat
    }

    async fn step(&mut self) {
        match tokio::time::timeout(WAIT, self.reader.next()).await.unwrap().unwrap() {
            Delivery::Assigned(assignment) => {
                let before = self.assigned.insert(assignment.at.clone(), assignment);
                assert!(before.is_none(), "assigned twice");
            }
            Delivery::Records(records) => {
                assert!(!records.is_empty(), "a delivery of no records");
                for record in &records {
                    assert!(
                        self.assigned.contains_key(&record.at),
                        "a record before its partition"
                    );
                }
                self.records.extend(records);
            }
            Delivery::Revoked(revocation) => panic!("{} was revoked", revocation.at),
            Delivery::Lost(at, _) => panic!("{at} was lost"),
        }
    }

    /// Waits for so many records in all.
    async fn records(&mut self, count: usize) -> &[Record] {
        while self.records.len() < count {
            self.step().await;
        }
        assert_eq!(self.records.len(), count, "more than was sent");
        &self.records
    }

    /// Commits outputs with the progress of one topic.
    async fn commit(
        &mut self,
        outputs: Vec<Output>,
        topic: &Arc<str>,
        progress: Progress,
    ) -> Result<(), CommitErrorKind> {
        let fence = self.writer.fence();
        let epoch = self.assigned[&at(topic)].epoch;
        let batch = Arc::new(Batch { outputs, progress: vec![(at(topic), epoch, progress)] });
        let written = tokio::time::timeout(WAIT, self.writer.commit(fence, &batch)).await.unwrap();
        written.map_err(|error| error.kind)
    }

    async fn leave(mut self) {
        tokio::time::timeout(WAIT, self.reader.close(WAIT)).await.unwrap().unwrap();
    }
}

fn done_up_to(base: i64, sequence: u64) -> Progress {
    Progress { nonce: 77, sequence, ..Progress::starting_at(base) }
}

async fn committed(log: &Arc<dyn Log>, bench: &Bench, topic: &Arc<str>) -> Vec<(i32, Progress)> {
    log.committed(&format!("{}-group", bench.prefix), topic).await.unwrap()
}

// ---- topics and records ----

async fn the_cluster_is_the_same_for_every_handle(bench: Bench) {
    let one = bench.log().await.cluster().await.unwrap();
    assert!(!one.is_empty());
    assert_eq!(bench.log().await.cluster().await.unwrap(), one);
}

async fn a_topic_is_made_once_and_listed(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    log.send(numbered(&name, 0..3)).await.unwrap();
    log.create(&[topic(&name)]).await.unwrap();
    let listed = log.topics().await.unwrap();
    assert_eq!(listed.iter().filter(|topic| topic.name == name).count(), 1);
    assert_eq!(values(&contents(&log, &name).await), numbers(0..3));
}

async fn records_arrive_as_they_were_sent(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    let bytes = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
    let header = |name: &str, value| (name.to_owned().into(), value);
    let record = |key, value, headers, timestamp| Output {
        key,
        value,
        headers,
        timestamp: Some(timestamp),
        ..output(&name, "")
    };
    let sent = vec![
        record(bytes(b"plain"), bytes(b"text"), vec![], 1_700_000_000_000),
        record(bytes(&[0, 255, 0, 128]), bytes(&[0, 1, 2, 255]), vec![], 1_700_000_000_001),
        record(None, bytes(b"no key"), vec![], 1_600_000_000_000),
        record(bytes(b"tombstone"), None, vec![], 1_700_000_000_003),
        record(bytes(b"empty"), bytes(b""), vec![], 1_700_000_000_004),
        record(bytes(b""), bytes(b"empty key"), vec![], 1_700_000_000_005),
        record(
            bytes(b"headers"),
            bytes(b"x"),
            vec![
                header("twice", bytes(b"first")),
                header("twice", bytes(&[0, 200, 13])),
                header("null", None),
                header("empty", bytes(b"")),
                header("größe", bytes(b"utf-8")),
            ],
            1_700_000_000_006,
        ),
    ];
    log.send(sent.clone()).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    let arrived = seat.records(sent.len()).await.to_vec();
    for (offset, (record, sent)) in (0..).zip(arrived.iter().zip(&sent)) {
        assert_eq!((&record.at, record.offset), (&at(&name), offset));
        assert_eq!(record.key, sent.key);
        assert_eq!(record.value, sent.value);
        assert_eq!(record.headers, sent.headers);
        assert_eq!(Some(record.timestamp), sent.timestamp);
    }
    seat.leave().await;
    assert_eq!(contents(&log, &name).await, arrived, "a follower sees the same");
}

async fn a_record_without_a_time_gets_one(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    log.send(numbered(&name, 0..1)).await.unwrap();
    let records = contents(&log, &name).await;
    assert!(records[0].timestamp > 1_600_000_000_000, "{}", records[0].timestamp);
}

async fn a_record_of_a_megabyte_arrives(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    let value: Vec<u8> =
        (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    log.send(vec![output(&name, value.clone()), output(&name, "small")]).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    let records = seat.records(2).await;
    assert!(records[0].value.as_deref() == Some(&value[..]), "it was changed on the way");
    assert_eq!(values(&records[1..]), ["small"]);
    seat.leave().await;
}

async fn many_topics_are_read_by_one_member(bench: Bench) {
    let log = bench.log().await;
    let names: Vec<Arc<str>> =
        (0..24).map(|n| Arc::from(format!("{}-in-{n}", bench.prefix))).collect();
    let topics: Vec<Topic> = names.iter().map(topic).collect();
    log.create(&topics).await.unwrap();
    for name in &names {
        log.send(numbered(name, 0..5)).await.unwrap();
    }
    let refs: Vec<&Arc<str>> = names.iter().collect();
    let mut seat = Seat::take(&log, bench.group(&refs, From::Earliest)).await;
    let records = seat.records(24 * 5).await;
    for name in &names {
        let of: Vec<Record> = records.iter().filter(|r| r.at == at(name)).cloned().collect();
        assert_eq!(values(&of), numbers(0..5), "{name}");
    }
    seat.leave().await;
}

// ---- where a member starts ----

async fn a_group_that_never_committed_starts_where_it_is_told(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    let timed =
        |n: i64| Output { timestamp: Some(1_700_000_000_000 + n), ..output(&name, n.to_string()) };
    log.send((0..10).map(timed).collect()).await.unwrap();
    for (group, from, base) in [
        ("earliest", From::Earliest, 0),
        ("latest", From::Latest, 10),
        ("time", From::Time(1_700_000_000_004), 4),
        ("later", From::Time(1_800_000_000_000), 10),
    ] {
        let mut membership = bench.group(&[&name], from);
        membership.group = format!("{}-{group}", bench.prefix).into();
        let seat = Seat::take(&log, membership).await;
        let assignment = &seat.assigned[&at(&name)];
        assert_eq!(assignment.progress.base, base, "{group}");
        assert_eq!(assignment.progress.high, base, "{group}");
        assert!(!assignment.resumed, "{group}");
        assert_eq!(assignment.end, 10, "{group}");
        seat.leave().await;
    }
}

async fn a_start_is_resolved_once(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    log.send(numbered(&name, 0..3)).await.unwrap();
    Seat::take(&log, bench.group(&[&name], From::Latest)).await.leave().await;
    // What comes between a first start and the next one must not be skipped.
    log.send(numbered(&name, 3..5)).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Latest)).await;
    assert!(seat.assigned[&at(&name)].resumed);
    assert_eq!(values(seat.records(2).await), numbers(3..5));
    seat.leave().await;
}

async fn records_arrive_in_the_order_of_their_offsets(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    let sender = bench.log().await;
    let theirs = name.clone();
    let sending = tokio::spawn(async move {
        for start in (0..1_000).step_by(50) {
            sender.send(numbered(&theirs, start..start + 50)).await.unwrap();
        }
    });
    let records = seat.records(1_000).await;
    assert_eq!(values(records), numbers(0..1_000));
    assert!(records.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    sending.await.unwrap();
    seat.leave().await;
}

// ---- commits ----

async fn outputs_and_progress_become_visible_together(bench: Bench) {
    let (log, [name, results, costs]) = bench.with(["in", "results", "costs"]).await;
    log.send(numbered(&name, 0..4)).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    seat.records(4).await;
    let other = bench.log().await;
    assert_eq!(contents(&other, &results).await, []);
    let mut outputs = numbered(&results, 0..3);
    outputs.extend(numbered(&costs, 0..2));
    seat.commit(outputs, &name, done_up_to(3, 1)).await.unwrap();
    assert_eq!(values(&contents(&other, &results).await), numbers(0..3));
    assert_eq!(values(&contents(&other, &costs).await), numbers(0..2));
    assert_eq!(committed(&other, &bench, &name).await, [(0, done_up_to(3, 1))]);
    seat.commit(numbered(&results, 3..4), &name, done_up_to(4, 2)).await.unwrap();
    assert_eq!(values(&contents(&other, &results).await), numbers(0..4));
    assert_eq!(committed(&other, &bench, &name).await, [(0, done_up_to(4, 2))]);
    seat.leave().await;
}

async fn progress_comes_back_as_it_was_committed(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    log.send(numbered(&name, 0..40)).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    seat.records(40).await;
    let progress = Progress {
        base: 3,
        high: 37,
        incomplete: vec![3, 4, 11, 30],
        nonce: 0xfeed_face_0123_4567,
        sequence: 12,
        journal_low: 9_876_543_210,
        journal: Some(11),
    };
    seat.commit(vec![], &name, progress.clone()).await.unwrap();
    seat.leave().await;
    let log = bench.log().await;
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Latest)).await;
    let assignment = &seat.assigned[&at(&name)];
    assert_eq!(assignment.progress, progress);
    assert!(assignment.resumed);
    assert_eq!(assignment.end, 40);
    // What is done already is delivered all the same: the tracker leaves it out.
    assert_eq!(values(seat.records(37).await), numbers(3..40));
    seat.leave().await;
}

async fn progress_alone_can_be_committed(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    log.send(numbered(&name, 0..5)).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    seat.commit(vec![], &name, done_up_to(5, 1)).await.unwrap();
    assert_eq!(committed(&log, &bench, &name).await, [(0, done_up_to(5, 1))]);
    seat.leave().await;
}

async fn a_restart_goes_on_where_the_last_commit_ended(bench: Bench) {
    let (log, [name, results]) = bench.with(["in", "results"]).await;
    log.send(numbered(&name, 0..10)).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    seat.records(10).await;
    seat.commit(numbered(&results, 0..6), &name, done_up_to(6, 1)).await.unwrap();
    seat.leave().await;
    let log = bench.log().await;
    log.send(numbered(&name, 10..12)).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    assert_eq!(values(seat.records(6).await), numbers(6..12));
    seat.commit(numbered(&results, 6..12), &name, done_up_to(12, 2)).await.unwrap();
    assert_eq!(values(&contents(&log, &results).await), numbers(0..12));
    seat.leave().await;
}

async fn a_paused_topic_waits_until_it_flows_again(bench: Bench) {
    let (log, [held, flowing]) = bench.with(["held", "flowing"]).await;
    let mut seat = Seat::take(&log, bench.group(&[&held, &flowing], From::Earliest)).await;
    log.send(numbered(&held, 0..2)).await.unwrap();
    seat.records(2).await;
    // A wait that was given up: what it asked for may be on its way.
    assert!(tokio::time::timeout(Duration::ZERO, seat.reader.next()).await.is_err());
    seat.reader.pause(&at(&held), true);
    log.send(numbered(&held, 2..20)).await.unwrap();
    // What was sent to the other topic afterwards arrives, so the first one's records had their chance.
    for n in 0..10 {
        log.send(numbered(&flowing, n..n + 1)).await.unwrap();
        seat.records(3 + n as usize).await;
    }
    assert!(seat.records[2..].iter().all(|record| record.at == at(&flowing)));
    seat.reader.pause(&at(&held), false);
    seat.records(30).await;
    let of: Vec<Record> = seat.records.iter().filter(|r| r.at == at(&held)).cloned().collect();
    assert_eq!(values(&of), numbers(0..20));
    seat.leave().await;
}

async fn a_batch_with_an_output_too_large_leaves_nothing(bench: Bench) {
    let (log, [name, results]) = bench.with(["in", "results"]).await;
    let small = Arc::<str>::from(format!("{}-small", bench.prefix));
    let config = vec![("max.message.bytes".to_owned(), "20000".to_owned())];
    log.create(&[Topic { config, ..topic(&small) }]).await.unwrap();
    log.send(numbered(&name, 0..3)).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    seat.records(3).await;
    let before = committed(&log, &bench, &name).await;
    // Noise, so that no compression makes it fit.
    let mut state = 0x9e37_79b9_u32;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    let noise: Vec<u8> = (0..60_000).map(|_| draw()).collect();
    let mut outputs = numbered(&results, 0..2);
    outputs.push(output(&small, noise));
    match seat.commit(outputs, &name, done_up_to(3, 1)).await {
        Err(CommitErrorKind::Unwritable(None | Some(2))) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(contents(&log, &results).await, []);
    assert_eq!(contents(&log, &small).await, []);
    assert_eq!(committed(&log, &bench, &name).await, before);
    // Without the bad one the same member goes on.
    seat.commit(numbered(&results, 0..2), &name, done_up_to(3, 1)).await.unwrap();
    assert_eq!(values(&contents(&log, &results).await), numbers(0..2));
    seat.leave().await;
}

async fn a_batch_for_a_missing_topic_leaves_nothing(bench: Bench) {
    let (log, [name, results]) = bench.with(["in", "results"]).await;
    let missing = Arc::<str>::from(format!("{}-missing", bench.prefix));
    log.send(numbered(&name, 0..1)).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    seat.records(1).await;
    let mut outputs = numbered(&results, 0..1);
    outputs.extend(numbered(&missing, 0..1));
    match seat.commit(outputs, &name, done_up_to(1, 1)).await {
        Err(CommitErrorKind::Unwritable(None | Some(1))) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(contents(&log, &results).await, []);
    assert!(log.topics().await.unwrap().iter().all(|topic| topic.name != missing), "it was made");
    seat.commit(numbered(&results, 0..1), &name, done_up_to(1, 1)).await.unwrap();
    seat.leave().await;
}

async fn what_is_not_there_is_said_to_be_missing(bench: Bench) {
    let log = bench.log().await;
    let missing = Arc::<str>::from(format!("{}-missing", bench.prefix));
    let kind = |error: vivremotion::stream::StreamError| {
        assert!(error.message.contains(&*missing), "{error}");
        error.kind
    };
    let followed = log.follow(&missing, From::Earliest).await.map(drop);
    assert_eq!(followed.map_err(kind), Err(StreamErrorKind::UnknownTopic));
    let sent = log.send(numbered(&missing, 0..1)).await;
    assert_eq!(sent.map_err(kind), Err(StreamErrorKind::UnknownTopic));
    let joined = log.join(bench.group(&[&missing], From::Earliest)).await.map(drop);
    assert_eq!(joined.map_err(kind), Err(StreamErrorKind::UnknownTopic));
    assert_eq!(log.extents(&missing).await.unwrap(), []);
}

// ---- reading without a group ----

async fn extents_tell_what_a_topic_holds(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    let extent = async || {
        let extents = log.extents(&name).await.unwrap();
        assert_eq!(extents.len(), 1);
        assert_eq!(extents[0].at, at(&name));
        (extents[0].low, extents[0].high)
    };
    assert_eq!(extent().await, (0, 0));
    log.send(numbered(&name, 0..7)).await.unwrap();
    assert_eq!(extent().await, (0, 7));
}

async fn a_follower_says_when_it_has_caught_up(bench: Bench) {
    let (log, [name, empty]) = bench.with(["in", "empty"]).await;
    log.send(numbered(&name, 0..600)).await.unwrap();
    let mut follower = log.follow(&name, From::Earliest).await.unwrap();
    assert!(!follower.caught_up());
    let mut seen = Vec::new();
    while !follower.caught_up() {
        seen.extend(follower.next(Duration::from_secs(5)).await.unwrap());
    }
    assert_eq!(values(&seen), numbers(0..600));
    // It goes on with what comes later, by whoever sends it.
    bench.log().await.send(numbered(&name, 600..603)).await.unwrap();
    while seen.len() < 603 {
        seen.extend(follower.next(WAIT).await.unwrap());
    }
    assert_eq!(values(&seen), numbers(0..603));
    assert_eq!(follower.next(Duration::from_millis(20)).await.unwrap(), []);
    assert!(log.follow(&name, From::Latest).await.unwrap().caught_up());
    assert!(log.follow(&empty, From::Earliest).await.unwrap().caught_up());
}

async fn groups_do_not_share_progress(bench: Bench) {
    let (log, [name]) = bench.with(["in"]).await;
    log.send(numbered(&name, 0..4)).await.unwrap();
    let mut seat = Seat::take(&log, bench.group(&[&name], From::Earliest)).await;
    seat.commit(vec![], &name, done_up_to(4, 1)).await.unwrap();
    let other = Membership {
        group: format!("{}-other", bench.prefix).into(),
        ..bench.group(&[&name], From::Earliest)
    };
    assert_eq!(log.committed(&other.group, &name).await.unwrap(), []);
    let mut second = Seat::take(&log, other).await;
    assert_eq!(values(second.records(4).await), numbers(0..4));
    second.leave().await;
    seat.leave().await;
}
