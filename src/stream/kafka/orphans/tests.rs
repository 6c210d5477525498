use std::collections::BTreeSet;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{BALANCING, Census, LATER, SOON, View, read};
use crate::stream::TopicPartition;

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: "in".into(), partition }
}

fn orphans(partitions: &[i32]) -> View {
    View::Orphans(partitions.iter().copied().map(at).collect())
}

#[test]
fn a_group_is_balanced_again_when_the_same_partitions_lack_an_owner_twice() {
    let now = Instant::now();
    let mut census = Census::new(now);
    assert!(!census.is_due(now) && census.is_due(now + SOON));
    assert!(!census.judge(orphans(&[1, 2]), now));
    assert!(!census.judge(orphans(&[2]), now), "it is on its way");
    assert!(!census.is_due(now) && census.is_due(now + SOON));
    assert!(census.judge(orphans(&[2]), now));
    assert!(!census.is_due(now + SOON) && census.is_due(now + BALANCING));
    assert!(!census.judge(orphans(&[2]), now), "once for each two looks");
}

#[test]
fn what_moves_or_is_whole_is_left_alone() {
    let now = Instant::now();
    let mut census = Census::new(now);
    for view in [orphans(&[1]), View::Moving, orphans(&[1]), View::Whole] {
        assert!(!census.judge(view, now));
    }
    assert!(!census.is_due(now + SOON) && census.is_due(now + LATER));
    census.judge(orphans(&[1]), now);
    census.moved(now);
    assert!(!census.judge(orphans(&[1]), now));
}

#[test]
fn what_was_seen_before_something_moved_counts_for_nothing() {
    let now = Instant::now();
    let mut census = Census::new(now);
    let begun = now + SOON;
    assert!(census.holds(begun));
    census.moved(begun + SOON);
    assert!(!census.holds(begun) && census.holds(begun + SOON));
}

#[test]
fn an_assignment_is_read_as_the_protocol_writes_it() {
    assert_eq!(read(&[]), Some(vec![]));
    let mut bytes = vec![0, 1, 0, 0, 0, 2];
    for (topic, partitions) in [("in", &[0, 7][..]), ("other", &[])] {
        bytes.extend((topic.len() as u16).to_be_bytes());
        bytes.extend(topic.as_bytes());
        bytes.extend((partitions.len() as i32).to_be_bytes());
        partitions.iter().for_each(|partition: &i32| bytes.extend(partition.to_be_bytes()));
    }
    // User data.
    bytes.extend((-1_i32).to_be_bytes());
    let expected = BTreeSet::from([at(0), at(7)]);
    assert_eq!(read(&bytes).map(|places| places.into_iter().collect()), Some(expected));
    assert_eq!(read(&bytes[..9]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        drop(read(&bytes));
    }
}
