use super::*;
use crate::base::clock::HeldClock;
use crate::journal::entry::Place;
use crate::stream::memory::Memory as MemoryLog;
use crate::stream::{Log, Output, Topic};

const JOURNAL: &str = "g.journal";

/// A journal of one partition, of the topics `busy` and `idle`, where another process has written of both; and ours.
async fn written() -> (MemoryLog, Writer) {
    let log = MemoryLog::new(Arc::new(HeldClock::new(1_790_000_000_000, 1)));
    let topic = |name: &str| Topic { name: name.into(), partitions: 1, config: Vec::new() };
    log.create(&[JOURNAL, "busy", "idle"].map(topic)).await.unwrap();
    log.send((0..6).map(|_| event("busy")).collect()).await.unwrap();
    let other = Writer::start(Arc::new(log.clone()), JOURNAL.into(), 1);
    for (topic, offset) in [("busy", 0), ("busy", 5), ("idle", 0)] {
        other.append_durably(intent(topic, offset)).await.unwrap();
    }
    let writer = Writer::start(Arc::new(log.clone()), JOURNAL.into(), 7);
    let place = Place { topic: "idle".into(), partition: 0, offset: None };
    let opening = Entry { place, event: None, run: 7, what: What::Opened };
    writer.append_durably(opening).await.unwrap();
    (log, writer)
}

fn event(topic: &str) -> Output {
    Output {
        topic: topic.into(),
        partition: Some(0),
        key: None,
        value: None,
        headers: Vec::new(),
        timestamp: None,
    }
}

fn intent(topic: &str, offset: i64) -> Entry {
    let what = What::intent(offset as u128, 7);
    let event = Some(EventId::new("c", topic, 0, offset, 0));
    let place = Place { topic: topic.into(), partition: 0, offset: Some(offset) };
    Entry { place, event, run: 1, what }
}

fn input(topic: &str, end: i64, journal_low: i64) -> Input {
    let at = TopicPartition { topic: topic.into(), partition: 0 };
    Input { at, progress: Progress { journal_low, ..Progress::starting_at(0) }, end }
}

async fn offsets(writer: &Writer, inputs: &[Input]) -> Vec<(Vec<i64>, i64)> {
    let found = restore(writer, 0, inputs).await.unwrap();
    let of = |memory: &Memory| memory.events().map(|(offset, _)| offset).collect();
    found.iter().map(|(memory, until)| (of(memory), *until)).collect()
}

#[tokio::test(start_paused = true)]
async fn one_reading_tells_each_input_of_its_own_events_from_where_it_asks() {
    let (_log, writer) = written().await;
    let inputs = [input("busy", 6, 0), input("idle", 1, 0), input("busy", 6, 1)];
    let found = offsets(&writer, &inputs).await;
    assert_eq!(found, [(vec![0, 5], 4), (vec![0], 4), (vec![5], 4)]);
}

/// What stands there of it in this test can't in a journal: it would not be read.
#[tokio::test(start_paused = true)]
async fn an_input_without_open_events_reads_nothing_but_one_that_got_some_does() {
    let (log, writer) = written().await;
    let inputs = [input("idle", 0, 0)];
    assert_eq!(offsets(&writer, &inputs).await, [(vec![], 4)]);
    log.send(vec![event("idle")]).await.unwrap();
    assert_eq!(offsets(&writer, &inputs).await, [(vec![0], 4)]);
}

#[tokio::test(start_paused = true)]
async fn one_look_tells_each_of_what_it_asks_about() {
    let (_log, writer) = written().await;
    let look = |topic: &str, from, before| Look {
        input: TopicPartition { topic: topic.into(), partition: 0 },
        from,
        before: Progress::starting_at(before),
        after: None,
    };
    let looks = [look("busy", 0, 0), look("busy", 1, 0), look("busy", 0, 1), look("idle", 0, 0)];
    let (found, until) = late(&writer, 0, &looks).await.unwrap();
    let found: Vec<Vec<_>> =
        found.iter().map(|f| f.iter().filter_map(|entry| entry.place.offset).collect()).collect();
    assert_eq!((found, until), (vec![vec![0, 5], vec![5], vec![5], vec![0]], 4));
}
