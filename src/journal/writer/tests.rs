use tokio::time::Instant;

use super::*;
use crate::base::clock::HeldClock;
use crate::journal::Book;
use crate::journal::entry::{About, What};
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

/// A writer to a journal of so many partitions.
fn writer(log: &Memory, partitions: i32) -> Arc<Writer> {
    Arc::new(Writer::start(Arc::new(log.clone()), JOURNAL.into(), partitions, 7))
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: "in".into(), partition }
}

fn book(writer: &Arc<Writer>, partition: i32) -> Book {
    Book::new(writer, at(partition), writer.home(&at(partition), None))
}

fn of(offset: i64) -> About {
    About { offset: Some(offset), event: None }
}

/// Who reads the journal back flushes first: what it has appended itself must stand there then.
#[tokio::test(start_paused = true)]
async fn what_was_appended_stands_in_the_log_once_it_is_flushed() {
    let log = log().await;
    let writer = writer(&log, 2);
    let books = [0, 1, 2].map(|partition| book(&writer, partition));
    assert_eq!(books.each_ref().map(Book::home), [0, 1, 0], "the third shares");
    for book in &books {
        (0..3).for_each(|offset| book.append(of(offset), What::Ended));
    }
    assert_eq!((log.records(JOURNAL).len(), books[0].pending()), (0, 3), "nobody has waited yet");
    assert_eq!(writer.pending(), 9);
    let before = Instant::now();
    writer.flush().await;
    assert_eq!(Instant::now(), before, "who flushes has no time for others to come along");
    let records = log.records(JOURNAL);
    let read = records.iter().flat_map(|record| record::read(record).unwrap());
    let mut places: Vec<_> =
        read.map(|entry| (entry.place.partition, entry.place.offset)).collect();
    places.sort_by_key(|(partition, _)| *partition);
    let all = [0, 1, 2].into_iter().flat_map(|p| (0..3).map(move |offset| (p, Some(offset))));
    assert_eq!(places, all.collect::<Vec<_>>());
    assert_eq!((books.map(|book| book.pending()), writer.pending()), ([0, 0, 0], 0));
    assert_eq!(writer.bytes(), 0);
    let ends = (writer.end(0), writer.end(1));
    assert_eq!(ends, (2, 1), "a record of three entries for each input");
}

#[tokio::test(start_paused = true)]
async fn an_input_keeps_its_home_when_the_journal_grows_and_finds_one_when_it_is_made_anew() {
    let log = log().await;
    assert_eq!(writer(&log, 1).home(&at(5), None), 0);
    let grown = writer(&log, 4);
    assert_eq!(grown.home(&at(5), Some(0)), 0);
    assert_eq!(grown.home(&at(5), None), 1);
    assert_eq!(grown.home(&at(5), Some(4)), 1, "there is no such partition any more");
}

/// More than are written together, told by who had the partition before and by who has it now.
#[tokio::test(start_paused = true)]
async fn many_entries_keep_their_order_whoever_tells_of_the_input() {
    let log = log().await;
    let writer = writer(&log, 2);
    let books = [book(&writer, 0), book(&writer, 0)];
    (0..2_500).for_each(|n: i64| books[n as usize % 2].append(of(n), What::Ended));
    let durable = books[0].append_durably(of(2_500), What::Ended);
    let before = Instant::now();
    durable.await.unwrap();
    assert_eq!(Instant::now(), before, "what came before is in a hurry, too");
    let records = log.records(JOURNAL);
    let read = records.iter().flat_map(|record| record::read(record).unwrap());
    assert!(read.map(|entry| entry.place.offset).eq((0..=2_500).map(Some)));
    assert_eq!((books.map(|book| book.pending()), writer.pending()), ([0, 0], 0));
    assert_eq!(writer.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_of_nothing_writes_nothing() {
    let log = log().await;
    let writer = writer(&log, 2);
    writer.flush().await;
    assert!(log.records(JOURNAL).is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_writer_that_has_stopped() {
    let writer = writer(&log().await, 2);
    let book = book(&writer, 0);
    book.append(of(1), What::Ended);
    writer.stop();
    writer.flush().await;
    let late = book.append_durably(of(2), What::Ended).await;
    assert_eq!(late.map_err(|error| error.kind), Err(StreamErrorKind::Unavailable));
}

/// Each partition is a request of its own.
#[tokio::test(start_paused = true)]
async fn the_more_partitions_are_written_the_longer_entries_gather() {
    let log = log_of(40).await;
    let writer = writer(&log, 40);
    let books: Vec<Book> = (0..40).map(|partition| book(&writer, partition)).collect();
    for (partitions, early, late) in [(12, 9, 2), (40, 11, 2), (1, 39, 2), (1, 9, 2)] {
        let before = log.records(JOURNAL).len();
        books[..partitions].iter().for_each(|book| book.append(of(1), What::Ended));
        sleep(Duration::from_millis(early)).await;
        assert_eq!(log.records(JOURNAL).len(), before, "{partitions}");
        sleep(Duration::from_millis(late)).await;
        assert_eq!(log.records(JOURNAL).len(), before + partitions, "{partitions}");
    }
}
