use super::*;
use crate::journal::entry::{About, What};
use crate::stream::TopicPartition;

fn input(partition: i32) -> Arc<Input> {
    let at = TopicPartition { topic: "in".into(), partition };
    Arc::new(Input { at, home: 0, place: AtomicUsize::new(0) })
}

fn tell(queue: &Queue, input: &Arc<Input>) {
    let about = About { offset: Some(1), event: None };
    queue.push(input, Told::new(about, What::Ended), None);
}

/// The newest round, emptied as who writes does.
async fn taken(queue: &Queue) -> (usize, Vec<Batch>) {
    let round = queue.next(Duration::ZERO).await;
    let emptied = round.batches.into_iter().map(|Gathered { input, mut batch, .. }| {
        assert!(!batch.records((&"g.journal".into(), input.home), &input.at).is_empty());
        batch
    });
    (round.bytes, emptied.collect())
}

#[tokio::test(start_paused = true)]
async fn what_is_being_written_is_still_on_its_way() {
    let queue = Queue::new(1);
    let (one, two) = (input(1), input(2));
    for told in [&one, &one, &two] {
        tell(&queue, told);
    }
    let (bytes, emptied) = taken(&queue).await;
    assert_eq!((queue.pending(), queue.pending_of(&one), queue.bytes()), (3, 2, bytes));
    tell(&queue, &two);
    assert_eq!((queue.pending(), queue.pending_of(&two)), (4, 2));
    queue.written(bytes, emptied);
    assert_eq!((queue.pending(), queue.pending_of(&one), queue.pending_of(&two)), (1, 0, 1));
    let (bytes, emptied) = taken(&queue).await;
    assert_eq!(queue.bytes(), bytes);
    queue.written(bytes, emptied);
    assert_eq!((queue.pending(), queue.bytes()), (0, 0));
}

/// Who waits for it must not take it for written.
#[tokio::test(start_paused = true)]
async fn what_nobody_writes_any_more_stays_on_its_way() {
    let queue = Queue::new(1);
    let (one, two) = (input(1), input(2));
    tell(&queue, &one);
    let (bytes, emptied) = taken(&queue).await;
    tell(&queue, &two);
    queue.close();
    tell(&queue, &one);
    assert_eq!(queue.pending(), 3);
    queue.written(bytes, emptied);
    assert_eq!((queue.pending(), queue.pending_of(&one), queue.pending_of(&two)), (2, 1, 1));
}
