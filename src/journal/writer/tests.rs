use super::*;
use crate::base::clock::HeldClock;
use crate::journal::entry::{Place, What};
use crate::stream::Topic;
use crate::stream::memory::Memory;

const JOURNAL: &str = "g.journal";

async fn log() -> Memory {
    log_of(2).await
}

async fn log_of(partitions: i32) -> Memory {
    let log = Memory::new(Arc::new(HeldClock::new(1_790_000_000_000, 1)));
    let topic = Topic { name: JOURNAL.into(), partitions, config: Vec::new() };
    log.create(&[topic]).await.unwrap();
    log
}

fn ended(partition: i32, offset: i64) -> Entry {
    let place = Place { topic: "in".into(), partition, offset: Some(offset) };
    Entry { place, event: None, run: 7, what: What::Ended }
}

/// Who reads the journal back flushes first: what it has appended itself must stand there then.
#[tokio::test(start_paused = true)]
async fn what_was_appended_stands_in_the_log_once_it_is_flushed() {
    let log = log().await;
    let writer = Writer::start(Arc::new(log.clone()), JOURNAL.into(), 7);
    for partition in [0, 1] {
        (0..3).for_each(|offset| writer.append(ended(partition, offset)));
    }
    assert_eq!((log.records(JOURNAL).len(), writer.pending(0)), (0, 3), "nobody has waited yet");
    writer.flush().await;
    let records = log.records(JOURNAL);
    let read = records.iter().flat_map(|record| record::read(record).unwrap());
    let places: Vec<_> = read.map(|entry| (entry.place.partition, entry.place.offset)).collect();
    let all = [0, 1].into_iter().flat_map(|p| (0..3).map(move |offset| (p, Some(offset))));
    assert_eq!(places, all.collect::<Vec<_>>());
    assert_eq!((writer.pending(0), writer.pending(1), writer.bytes()), (0, 0, 0));
    assert_eq!((writer.end(0), writer.end(1)), (1, 1), "one record of three entries each");
}

#[tokio::test(start_paused = true)]
async fn a_flush_of_nothing_writes_nothing() {
    let log = log().await;
    let writer = Writer::start(Arc::new(log.clone()), JOURNAL.into(), 7);
    writer.flush().await;
    assert!(log.records(JOURNAL).is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_writer_that_has_stopped() {
    let writer = Writer::start(Arc::new(log().await), JOURNAL.into(), 7);
    writer.append(ended(0, 1));
    writer.stop();
    writer.flush().await;
    let late = writer.append_durably(ended(0, 2)).await;
    assert_eq!(late.map_err(|error| error.kind), Err(StreamErrorKind::Unavailable));
}

/// Each partition is a request of its own.
#[tokio::test(start_paused = true)]
async fn the_more_partitions_are_written_the_longer_entries_gather() {
    let log = log_of(40).await;
    let writer = Writer::start(Arc::new(log.clone()), JOURNAL.into(), 7);
    for (partitions, early, late) in [(12, 4, 2), (40, 4, 2), (1, 15, 2), (1, 4, 2)] {
        let before = log.records(JOURNAL).len();
        (0..partitions).for_each(|partition| writer.append(ended(partition, 1)));
        sleep(Duration::from_millis(early)).await;
        assert_eq!(log.records(JOURNAL).len(), before, "{partitions}");
        sleep(Duration::from_millis(late)).await;
        assert_eq!(log.records(JOURNAL).len(), before + partitions as usize, "{partitions}");
    }
}
