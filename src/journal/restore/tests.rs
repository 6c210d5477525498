use super::*;
use crate::base::clock::HeldClock;
use crate::journal::{About, Book};
use crate::stream::memory::Memory as MemoryLog;
use crate::stream::{Log, Output, Topic};

const JOURNAL: &str = "g.journal";

/// A journal of one partition, of the topics `busy` and `idle`, where another process has written of both; and ours.
async fn written() -> (MemoryLog, Arc<Writer>) {
    let log = MemoryLog::new(Arc::new(HeldClock::new(1_790_000_000_000, 1)));
    let topic = |name: &str| Topic { name: name.into(), partitions: 1, config: Vec::new() };
    log.create(&[JOURNAL, "busy", "idle"].map(topic)).await.unwrap();
    log.send((0..6).map(|_| event("busy")).collect()).await.unwrap();
    let other = Arc::new(Writer::start(Arc::new(log.clone()), JOURNAL.into(), 1, 1));
    for (at, offset) in [(at("busy"), 0), (at("busy"), 5), (at("idle"), 0), (neighbour(), 5)] {
        let id = EventId::new("c", &at.topic, at.partition, offset, 0);
        let book = Book::new(&other, at, 0);
        let intent = What::intent(offset as u128, 7);
        book.append_durably(About::event(offset, id), intent).await.unwrap();
    }
    let writer = Arc::new(Writer::start(Arc::new(log.clone()), JOURNAL.into(), 1, 7));
    let idle = Book::new(&writer, at("idle"), 0);
    idle.append_durably(About::PARTITION, What::Opened).await.unwrap();
    (log, writer)
}

fn at(topic: &str) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: 0 }
}

/// Of the topic `busy`, with the same home.
fn neighbour() -> TopicPartition {
    TopicPartition { partition: 1, ..at("busy") }
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

fn input(at: TopicPartition, end: i64, journal_low: i64) -> Input {
    let progress = Progress { journal_low, ..Progress::starting_at(0) };
    Input { at, progress, resumed: true, end }
}

async fn offsets(writer: &Writer, inputs: &[Input]) -> Vec<(Vec<i64>, i64)> {
    let found = restore(writer, 0, inputs).await.unwrap();
    let of = |memory: &Memory| memory.events().map(|(offset, _)| offset).collect();
    found.iter().map(|(memory, until)| (of(memory), *until)).collect()
}

#[tokio::test(start_paused = true)]
async fn one_reading_tells_each_input_of_its_own_events_from_where_it_asks() {
    let (_log, writer) = written().await;
    let inputs = [(at("busy"), 6, 0), (at("idle"), 1, 0), (at("busy"), 6, 1), (neighbour(), 6, 0)];
    let inputs = inputs.map(|(at, end, low)| input(at, end, low));
    let found = offsets(&writer, &inputs).await;
    assert_eq!(found, [(vec![0, 5], 5), (vec![0], 5), (vec![5], 5), (vec![5], 5)]);
}

/// Its offsets begin at nought again; what they say of those before is worse than nothing.
#[tokio::test(start_paused = true)]
async fn a_journal_that_was_made_anew_is_read_from_its_beginning() {
    let (_log, writer) = written().await;
    let inputs = [input(at("busy"), 6, 4_800_000), input(at("busy"), 6, 5)];
    assert_eq!(offsets(&writer, &inputs).await, [(vec![0, 5], 5), (vec![], 5)]);
    assert_eq!(writer.end(0), 5);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_was_never_committed_reads_nothing() {
    let (_log, writer) = written().await;
    let never = Input { resumed: false, ..input(at("busy"), 6, 0) };
    assert_eq!(offsets(&writer, &[never]).await, [(vec![], 5)]);
}

/// What stands there of it in this test can't in a journal: it would not be read.
#[tokio::test(start_paused = true)]
async fn an_input_without_open_events_reads_nothing_but_one_that_got_some_does() {
    let (log, writer) = written().await;
    let inputs = [input(at("idle"), 0, 0)];
    assert_eq!(offsets(&writer, &inputs).await, [(vec![], 5)]);
    log.send(vec![event("idle")]).await.unwrap();
    assert_eq!(offsets(&writer, &inputs).await, [(vec![0], 5)]);
}

#[tokio::test(start_paused = true)]
async fn one_look_tells_each_of_what_it_asks_about() {
    let (_log, writer) = written().await;
    let look = |input: TopicPartition, from, before| Look {
        input,
        from,
        before: Progress::starting_at(before),
        after: None,
    };
    let looks = [
        look(at("busy"), 0, 0),
        look(at("busy"), 1, 0),
        look(at("busy"), 0, 1),
        look(at("idle"), 0, 0),
        look(neighbour(), 0, 0),
    ];
    let (found, until) = late(&writer, 0, &looks).await.unwrap();
    let found: Vec<Vec<_>> =
        found.iter().map(|f| f.iter().filter_map(|entry| entry.place.offset).collect()).collect();
    assert_eq!((found, until), (vec![vec![0, 5], vec![5], vec![5], vec![0], vec![5]], 5));
}
