use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Arrival, Lane, Lanes};
use crate::stream::{Epoch, TopicPartition};

const DEPTH: usize = 3;
const CAPACITY: usize = 6;

#[derive(Clone, Copy, Debug)]
enum Step {
    Arrive { partition: i32, key: Option<u8> },
    Finish(prop::sample::Index),
    Drain(i32),
    Clear(i32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop::option::weighted(0.9, 0..3_u8);
    let step = prop_oneof![
        8 => (0..2, key).prop_map(|(partition, key)| Step::Arrive { partition, key }),
        5 => any::<prop::sample::Index>().prop_map(Step::Finish),
        1 => (0..2).prop_map(Step::Drain),
        1 => (0..2).prop_map(Step::Clear),
    ];
    prop::collection::vec(step, 0..60)
}

fn lane(partition: i32, epoch: Epoch, key: Option<u8>) -> Lane {
    let at = TopicPartition { topic: Arc::from("tickets"), partition };
    Lane { at, epoch, key: key.map(|key| vec![key].into()) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(10_000), ..ProptestConfig::default() })]

    /// The model: one list of everything that arrived and is not finished, oldest first. An event may be in flight when
    /// no older one of its lane is in the list.
    #[test]
    fn lanes_do_what_one_plain_list_does(steps in steps()) {
        let mut lanes = Lanes::new(DEPTH, CAPACITY);
        let mut list: Vec<(Lane, u32)> = Vec::new();
        let mut flying: Vec<(Lane, u32)> = Vec::new();
        let mut epochs = HashMap::from([(0, Epoch(1)), (1, Epoch(1))]);
        for (id, step) in (0_u32..).zip(steps) {
            match step {
                Step::Arrive { partition, key } => {
                    let lane = lane(partition, epochs[&partition], key);
                    let ahead = list.iter().filter(|(l, _)| *l == lane).count();
                    let waiting = list.len() - flying.iter().filter(|f| list.contains(f)).count();
                    let expected = match key {
                        None => Arrival::Start(id),
                        Some(_) if ahead == 0 => Arrival::Start(id),
                        Some(_) if ahead > DEPTH || waiting >= CAPACITY => Arrival::Full(id),
                        Some(_) => Arrival::Queued,
                    };
                    prop_assert_eq!(lanes.arrive(&lane, id), expected);
                    if expected == Arrival::Start(id) {
                        flying.push((lane.clone(), id));
                    }
                    if expected != Arrival::Full(id) && key.is_some() {
                        list.push((lane, id));
                    }
                }
                Step::Finish(index) if !flying.is_empty() => {
                    let (lane, id) = flying.remove(index.index(flying.len()));
                    let known = list.iter().position(|(_, other)| *other == id);
                    let next = known.and_then(|known| {
                        list.remove(known);
                        list.iter().find(|(l, _)| *l == lane).cloned()
                    });
                    prop_assert_eq!(lanes.finish(&lane), next.as_ref().map(|(_, id)| *id));
                    flying.extend(next);
                }
                Step::Finish(_) => {}
                Step::Drain(partition) => {
                    let epoch = epochs[&partition];
                    let ours = |l: &Lane| l.at.partition == partition && l.epoch == epoch;
                    let mut expected = waiting(&list, &flying, ours);
                    list.retain(|(l, _)| !ours(l));
                    let mut dropped = lanes.drain(&lane(partition, epoch, None).at, epoch);
                    expected.sort_unstable();
                    dropped.sort_unstable();
                    prop_assert_eq!(dropped, expected);
                    epochs.insert(partition, Epoch(epoch.0 + 1));
                }
                Step::Clear(partition) => {
                    let epoch = epochs[&partition];
                    let ours = |l: &Lane| l.at.partition == partition && l.epoch == epoch;
                    let mut expected = waiting(&list, &flying, ours);
                    list.retain(|(_, id)| !expected.contains(id));
                    let at = lane(partition, epoch, None).at;
                    let mut dropped = lanes.clear_waiting(&at, epoch);
                    expected.sort_unstable();
                    dropped.sort_unstable();
                    prop_assert_eq!(dropped, expected);
                }
            }
            prop_assert_eq!(lanes.self_check(), Ok(()));
            prop_assert_eq!(lanes.waiting(), waiting(&list, &flying, |_| true).len());
        }
    }
}

fn waiting(list: &[(Lane, u32)], flying: &[(Lane, u32)], ours: impl Fn(&Lane) -> bool) -> Vec<u32> {
    let idle = |entry: &&(Lane, u32)| !flying.contains(entry) && ours(&entry.0);
    list.iter().filter(idle).map(|(_, id)| *id).collect()
}

#[test]
fn the_same_key_in_two_partitions_does_not_wait_for_itself() {
    let mut lanes = Lanes::new(DEPTH, CAPACITY);
    assert_eq!(lanes.arrive(&lane(0, Epoch(1), Some(7)), 1), Arrival::Start(1));
    assert_eq!(lanes.arrive(&lane(1, Epoch(1), Some(7)), 2), Arrival::Start(2));
}

#[test]
fn an_event_of_an_assignment_that_ended_starts_nothing_of_the_next() {
    let mut lanes = Lanes::new(DEPTH, CAPACITY);
    let (old, new) = (lane(0, Epoch(1), Some(7)), lane(0, Epoch(2), Some(7)));
    assert_eq!(lanes.arrive(&old, 1), Arrival::Start(1));
    assert!(lanes.drain(&old.at, Epoch(1)).is_empty());
    assert_eq!(lanes.arrive(&new, 2), Arrival::Start(2));
    assert_eq!(lanes.arrive(&new, 3), Arrival::Queued);
    assert!(lanes.drain(&old.at, Epoch(1)).is_empty());
    assert_eq!(lanes.finish(&old), None);
    assert_eq!(lanes.finish(&new), Some(3));
}

#[test]
fn a_lane_takes_no_more_than_its_depth() {
    let mut lanes = Lanes::new(DEPTH, CAPACITY);
    let hot = lane(0, Epoch(1), Some(7));
    let arrivals: Vec<_> = (0..5).map(|id| lanes.arrive(&hot, id)).collect();
    assert_eq!(arrivals[0], Arrival::Start(0));
    assert_eq!(arrivals[1..4], [Arrival::Queued; 3]);
    assert_eq!(arrivals[4], Arrival::Full(4));
    assert_eq!(lanes.finish(&hot), Some(1));
    assert_eq!(lanes.arrive(&hot, 4), Arrival::Queued);
}
