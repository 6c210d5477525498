//! The log in one SQLite file: every member's suite, and what only a file on a disk can promise.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use vivremotion::base::clock::SystemClock;
use vivremotion::base::sqlite::{self, Synchronous};
use vivremotion::flow::tracker::{Receive, Tracker};
use vivremotion::stream::local::{Local, Settings};
use vivremotion::stream::{
    Assignment, Batch, CommitErrorKind, Delivery, Epoch, From, Guarantee, Log, Membership,
    OnCorruptProgress, Output, Progress, Record, StreamErrorKind, Topic, TopicPartition,
};

use super::log::Bench;

/// Nothing here takes longer.
const WAIT: Duration = Duration::from_secs(30);

async fn open(path: &Path) -> Local {
    let settings = Settings { path: path.to_owned(), synchronous: Synchronous::Full };
    Local::open(settings, Arc::new(SystemClock)).await.unwrap()
}

fn bench(path: &Path) -> Bench {
    let path = path.to_owned();
    let open = move || -> BoxFuture<'static, Arc<dyn Log>> {
        let path = path.clone();
        Box::pin(async move { Arc::new(open(&path).await) as Arc<dyn Log> })
    };
    Bench { open: Arc::new(open), prefix: "t".to_owned() }
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            let folder = tempfile::tempdir().unwrap();
            let suite = super::log::suite();
            let (_, behaviour) = suite.iter().find(|(name, _)| *name == stringify!($name)).unwrap();
            behaviour(bench(&folder.path().join("log.db"))).await;
        })*
    };
}
behaviours!(tests);

// ---- what only this one promises ----

fn at(topic: &str) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: 0 }
}

fn topic(name: &str, config: &[(&str, &str)]) -> Topic {
    let config = config.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Topic { name: name.into(), partitions: 12, config }
}

fn output(topic: &str, value: &str, timestamp: Option<i64>) -> Output {
    let value = Some(value.to_owned().into());
    Output { topic: topic.into(), partition: None, key: None, value, headers: vec![], timestamp }
}

fn membership(on_corrupt_progress: OnCorruptProgress) -> Membership {
    Membership {
        group: "acme.copy".into(),
        instance: "one".into(),
        topics: vec![("in".into(), From::Earliest)],
        guarantee: Guarantee::ExactlyOnce,
        on_corrupt_progress,
    }
}

async fn values(log: &Local, topic: &str) -> Vec<String> {
    let mut follower = log.follow(topic, From::Earliest).await.unwrap();
    let mut found = Vec::new();
    while !follower.caught_up() {
        let records = follower.next(WAIT).await.unwrap();
        let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
        found
            .extend(records.iter().map(|record| record.value.as_ref().map_or(String::new(), text)));
    }
    found
}

#[tokio::test]
async fn a_group_has_one_engine_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let (one, two) = (open(&path).await, open(&path).await);
    one.create(&[topic("in", &[])]).await.unwrap();
    let (mut reader, writer) = one.join(membership(OnCorruptProgress::Fail)).await.unwrap();
    let refused = two.join(membership(OnCorruptProgress::Fail)).await.map(drop).unwrap_err();
    assert_eq!(refused.kind, StreamErrorKind::Fatal);
    for part in ["acme.copy", &std::process::id().to_string()] {
        assert!(refused.message.contains(part), "{refused}");
    }
    reader.close(WAIT).await.unwrap();
    two.join(membership(OnCorruptProgress::Fail)).await.unwrap();
    drop((reader, writer));
}

#[tokio::test]
async fn a_member_whose_lock_was_deleted_is_fenced_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = open(&path).await;
    log.create(&[topic("in", &[])]).await.unwrap();
    let (mut reader, mut old) = log.join(membership(OnCorruptProgress::Fail)).await.unwrap();
    let Delivery::Assigned(assignment) = reader.next().await.unwrap() else { panic!() };
    std::fs::remove_dir_all(folder.path().join("log.db.groups")).unwrap();
    let _next = log.join(membership(OnCorruptProgress::Fail)).await.unwrap();
    let progress = vec![(at("in"), assignment.epoch, Progress::starting_at(1))];
    let batch = Arc::new(Batch { outputs: vec![output("in", "x", None)], progress });
    let fenced = old.commit(old.fence(), &batch).await.map_err(|error| error.kind);
    assert_eq!(fenced, Err(CommitErrorKind::Fenced));
    assert_eq!(log.extents("in").await.unwrap()[0].high, 0);
}

#[tokio::test]
async fn what_was_released_can_not_be_committed() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder.path().join("log.db")).await;
    log.create(&[topic("in", &[])]).await.unwrap();
    let (mut reader, mut writer) = log.join(membership(OnCorruptProgress::Fail)).await.unwrap();
    let Delivery::Assigned(Assignment { epoch, .. }) = reader.next().await.unwrap() else {
        panic!()
    };
    let batch = |epoch| {
        Arc::new(Batch {
            outputs: vec![],
            progress: vec![(at("in"), epoch, Progress::starting_at(0))],
        })
    };
    let fence = writer.fence();
    let other = writer.commit(fence, &batch(Epoch(epoch.0 + 1))).await.map_err(|e| e.kind);
    assert_eq!(other, Err(CommitErrorKind::Stale));
    reader.release(&at("in"), Epoch(epoch.0 + 1));
    writer.commit(writer.fence(), &batch(epoch)).await.unwrap();
    reader.release(&at("in"), epoch);
    let late = writer.commit(writer.fence(), &batch(epoch)).await.map_err(|e| e.kind);
    assert_eq!(late, Err(CommitErrorKind::Stale));
}

#[tokio::test]
async fn unreadable_progress_stops_its_topic_alone_or_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = open(&path).await;
    log.create(&[topic("in", &[]), topic("other", &[])]).await.unwrap();
    drop(log.join(membership(OnCorruptProgress::Fail)).await.unwrap());
    let file = sqlite::connect(&path, &sqlite::Options::default()).unwrap();
    file.execute("UPDATE log_offset SET base = 7, progress = 'vm.AAAA'", []).unwrap();
    let topics = ["in", "other"].map(|topic| (topic.into(), From::Earliest)).to_vec();
    let both = Membership { topics, ..membership(OnCorruptProgress::Fail) };
    let (mut reader, writer) = log.join(both).await.unwrap();
    let Delivery::Assigned(assignment) = reader.next().await.unwrap() else { panic!() };
    assert_eq!(&*assignment.at.topic, "other");
    let stopped = reader.next().await.unwrap_err();
    assert_eq!(stopped.kind, StreamErrorKind::CorruptProgress);
    assert!(
        stopped.message.contains("`acme.copy`") && stopped.message.contains("`in`"),
        "{stopped}"
    );
    drop((reader, writer));
    let asked = log.committed("acme.copy", "in").await.unwrap_err();
    assert_eq!(asked.kind, StreamErrorKind::CorruptProgress);
    let (mut reader, _writer) = log.join(membership(OnCorruptProgress::Replay)).await.unwrap();
    let Delivery::Assigned(assignment) = reader.next().await.unwrap() else { panic!() };
    assert_eq!(assignment.progress, Progress::known_by_offset(7));
}

#[tokio::test]
async fn old_records_go_and_their_offsets_are_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = open(&path).await;
    let config = [("retention.ms", "3600000")];
    log.create(&[topic("short", &config), topic("kept", &[]), topic("mixed", &config)])
        .await
        .unwrap();
    let old = |topic| (0..2_500).map(move |n| output(topic, &n.to_string(), Some(1_000))).collect();
    for topic in ["short", "kept", "mixed"] {
        log.send(old(topic)).await.unwrap();
    }
    log.send(vec![output("mixed", "young", None)]).await.unwrap();
    // A new handle tidies up at once.
    let log = open(&path).await;
    let low = async |topic| log.extents(topic).await.unwrap()[0].low;
    tokio::time::timeout(WAIT, async {
        while low("short").await < 2_500 || low("mixed").await < 2_500 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(low("kept").await, 0);
    assert_eq!(values(&log, "mixed").await, ["young"]);
    log.send(vec![output("short", "next", None)]).await.unwrap();
    let extent = log.extents("short").await.unwrap().remove(0);
    assert_eq!((extent.low, extent.high), (2_500, 2_501));
}

#[tokio::test]
async fn many_senders_share_transactions_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let (one, two) = (open(&path).await, open(&path).await);
    one.create(&[topic("in", &[]), topic("tiny", &[("max.message.bytes", "1")])]).await.unwrap();
    let sends = (0..400).map(|n| {
        let log = if n % 2 == 0 { one.clone() } else { two.clone() };
        async move {
            match n % 10 {
                // One that is refused takes no other with it, and leaves nothing of itself.
                9 => {
                    let whole =
                        vec![output("in", "never", None), output("tiny", "too large", None)];
                    log.send(whole).await.unwrap_err();
                }
                _ => drop(log.send(vec![output("in", &n.to_string(), None)]).await.unwrap()),
            }
        }
    });
    futures::future::join_all(sends).await;
    let mut found: Vec<u32> =
        values(&one, "in").await.iter().map(|value| value.parse().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, (0..400).filter(|n| n % 10 != 9).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_handles_may_make_the_file_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let handles = futures::future::join_all((0..8).map(|_| open(&path))).await;
        let cluster = handles[0].cluster().await.unwrap();
        for (n, log) in handles.iter().enumerate() {
            assert_eq!(log.cluster().await.unwrap(), cluster);
            log.create(&[topic("in", &[])]).await.unwrap();
            log.send(vec![output("in", &n.to_string(), None)]).await.unwrap();
        }
        assert_eq!(values(&handles[0], "in").await.len(), 8);
    }
}

#[tokio::test]
async fn files_of_other_programs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (foreign, text) = (folder.path().join("other.db"), folder.path().join("notes.txt"));
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    std::fs::write(&text, "no database at all, just some notes\n".repeat(100)).unwrap();
    for path in [foreign, text] {
        let settings = Settings { path: path.clone(), synchronous: Synchronous::Normal };
        let refused = Local::open(settings, Arc::new(SystemClock)).await.map(drop).unwrap_err();
        assert_eq!(refused.kind, StreamErrorKind::Setting, "{refused}");
        assert!(refused.message.contains(path.to_str().unwrap()), "{refused}");
    }
}

#[tokio::test]
async fn the_file_is_opened_the_way_the_figures_were_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a folder/that is not there/log.db");
    let log = open(&path).await;
    assert!(log.cluster().await.unwrap().starts_with("local-"));
    let file = sqlite::connect(&path, &sqlite::Options::default()).unwrap();
    let ask = |name: &str| {
        file.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap()
    };
    assert_eq!(ask("page_size"), 16_384.into());
    assert_eq!(ask("journal_mode"), "wal".to_owned().into());
    assert_eq!(ask("synchronous"), 2.into());
}

// ---- killed processes ----

/// How many records the copying child has to copy.
const COPIES: i64 = 1_500;

/// A process that is killed at the latest when the test ends, however that ends.
struct Killed(Child);

impl Killed {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts this very test in a process of its own, with a part to play.
fn child(test: &str, part: &str, path: &Path) -> Killed {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("conformance::log_local::{test}"), "--nocapture"])
        .env("LOG_LOCAL_PART", part)
        .env("LOG_LOCAL_PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    Killed(child.unwrap())
}

/// The part that this process has to play, if it is such a child.
fn part() -> Option<(String, PathBuf)> {
    let part = std::env::var("LOG_LOCAL_PART").ok()?;
    Some((part, std::env::var_os("LOG_LOCAL_PATH")?.into()))
}

#[tokio::test]
async fn a_killed_engine_loses_nothing_and_doubles_nothing() {
    if let Some((_, path)) = part() {
        return copy(&path).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = open(&path).await;
    log.create(&[topic("in", &[]), topic("out", &[])]).await.unwrap();
    log.send((0..COPIES).map(|n| output("in", &n.to_string(), None)).collect()).await.unwrap();
    let mut follower = log.follow("out", From::Earliest).await.unwrap();
    let mut copied = 0;
    for until in [1, 90, 250, 400, 610, 611, 900, COPIES as usize] {
        let mut engine = child("a_killed_engine_loses_nothing_and_doubles_nothing", "copy", &path);
        while copied < until {
            copied += follower.next(WAIT).await.unwrap().len();
        }
        // In the midst of whatever it does now.
        engine.kill();
    }
    let mut found: Vec<i64> =
        values(&log, "out").await.iter().map(|value| value.parse().unwrap()).collect();
    assert!(!found.is_sorted(), "it was to copy out of order");
    found.sort_unstable();
    assert_eq!(found, (0..COPIES).collect::<Vec<_>>());
    let (_, progress) = log.committed("acme.copy", "in").await.unwrap().remove(0);
    assert_eq!((progress.base, progress.incomplete.len()), (COPIES, 0));
}

/// A small engine: copies what it reads, newest first of what it holds, some at a time.
async fn copy(path: &Path) {
    let log = open(path).await;
    let (mut reader, mut writer) = log.join(membership(OnCorruptProgress::Fail)).await.unwrap();
    let Delivery::Assigned(Assignment { epoch, progress, .. }) = reader.next().await.unwrap()
    else {
        panic!("no assignment");
    };
    let mut tracker = Tracker::new(epoch, progress);
    let mut held: Vec<Record> = Vec::new();
    while tracker.committed().base < COPIES {
        if tracker.seen() < COPIES {
            let Delivery::Records(records) = reader.next().await.unwrap() else { panic!() };
            held.extend(records.into_iter().filter(|r| tracker.receive(r.offset) == Receive::Run));
        }
        while !held.is_empty() {
            let some = held.split_off(held.len().saturating_sub(7));
            let offsets: Vec<i64> = some.iter().map(|record| record.offset).collect();
            for offset in &offsets {
                assert!(tracker.complete(epoch, *offset));
            }
            let outputs = offsets.iter().map(|offset| output("out", &offset.to_string(), None));
            let progress = tracker.progress(&offsets, 5, 0);
            let batch = Arc::new(Batch {
                outputs: outputs.collect(),
                progress: vec![(at("in"), epoch, progress.clone())],
            });
            writer.commit(writer.fence(), &batch).await.unwrap();
            assert!(tracker.settle(epoch, &offsets, progress));
        }
    }
    // Everything is copied: waits to be killed.
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn what_a_killed_sender_was_told_is_there() {
    if let Some((_, path)) = part() {
        let log = open(&path).await;
        for n in 0.. {
            log.send(vec![output("in", &n.to_string(), None)]).await.unwrap();
            println!("sent {n}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = open(&path).await;
    log.create(&[topic("in", &[])]).await.unwrap();
    for round in 1..=4_u32 {
        let before = values(&log, "in").await.len();
        let mut sender = child("what_a_killed_sender_was_told_is_there", "send", &path);
        let mut lines = BufReader::new(sender.0.stdout.take().unwrap()).lines();
        let told = |line: &str| line.strip_prefix("sent ")?.parse::<usize>().ok();
        let mut sent = 0;
        while sent < 25 * round as usize {
            sent = told(&lines.next().unwrap().unwrap()).unwrap_or(sent);
        }
        sender.kill();
        // What it was told between the last line that was read and its death.
        let sent = lines.map_while(Result::ok).filter_map(|l| told(&l)).last().unwrap_or(sent);
        let found = values(&log, "in").await.split_off(before);
        assert!(found.len() > sent && found.len() <= sent + 2, "{} of {sent}", found.len());
        assert_eq!(found, (0..found.len()).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_write_ahead_log_does_not_grow_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let settings = Settings { path: path.clone(), synchronous: Synchronous::Normal };
    let log = Local::open(settings, Arc::new(SystemClock)).await.unwrap();
    log.create(&[topic("in", &[])]).await.unwrap();
    let large = Bytes::from(vec![7; 1_000_000]);
    let mut largest = 0;
    let wal = folder.path().join("log.db-wal");
    for _ in 0..180 {
        let record = Output { value: Some(large.clone()), ..output("in", "", None) };
        log.send(vec![record]).await.unwrap();
        largest = largest.max(std::fs::metadata(&wal).unwrap().len());
    }
    assert!(largest < 80 << 20, "{largest} bytes");
}

#[tokio::test]
async fn somebody_who_reads_an_old_state_does_not_stop_the_writers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let settings = Settings { path: path.clone(), synchronous: Synchronous::Normal };
    let log = Local::open(settings, Arc::new(SystemClock)).await.unwrap();
    log.create(&[topic("in", &[])]).await.unwrap();
    let other = sqlite::connect(&path, &sqlite::Options::default()).unwrap();
    other.execute_batch("BEGIN; SELECT * FROM log_topic").unwrap();
    let large = Bytes::from(vec![7; 1_000_000]);
    tokio::time::timeout(WAIT, async {
        for _ in 0..100 {
            let record = Output { value: Some(large.clone()), ..output("in", "", None) };
            log.send(vec![record]).await.unwrap();
        }
    })
    .await
    .unwrap();
}
