use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::flow::consume::Consumed;
use crate::flow::emit::Outcome;
use crate::stream::{Epoch, Output, Record, TopicPartition};

fn event(offset: i64, outputs: usize) -> Emitted {
    let at = TopicPartition { topic: "in".into(), partition: 0 };
    let record = Record {
        at: at.clone(),
        offset,
        timestamp: 0,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let output = Output {
        topic: "out".into(),
        partition: None,
        key: None,
        value: Some(vec![0; 10].into()),
        headers: Vec::new(),
        timestamp: None,
    };
    let consumed = Consumed::new(record, Epoch(1), 0);
    Emitted {
        at,
        epoch: Epoch(1),
        offset,
        consumed: Arc::new(consumed),
        lane: None,
        completed: None,
        outputs: vec![output; outputs],
        outcome: Outcome::Completed,
        refusal: None,
        letter: None,
        bytes: 10 * outputs,
    }
}

fn error(kind: CommitErrorKind) -> CommitError {
    CommitError { kind, message: "as told".to_owned() }
}

#[test]
fn a_batch_is_due_after_its_interval_or_when_it_is_full() {
    let limits = Limits { interval: Duration::from_millis(100), events: 2, bytes: 1_000 };
    let (mut outbox, now) = (Outbox::new(limits), Instant::now());
    assert_eq!(outbox.due(false), None);
    outbox.push(event(0, 1), now);
    assert_eq!(outbox.due(false), Some(now + limits.interval));
    assert_eq!(outbox.due(true), Some(now));
    outbox.push(event(1, 1), now);
    assert_eq!(outbox.due(false), Some(now));
}

#[test]
fn a_pause_after_a_failure_is_kept_even_in_a_hurry() {
    let (mut outbox, now) = (Outbox::new(Limits::default()), Instant::now());
    outbox.push(event(0, 1), now);
    let batch = outbox.take(|_, _| true, |_| ());
    let failed =
        outbox.failed(batch, &error(CommitErrorKind::Transient), now, u128::from(u64::MAX));
    assert!(matches!(failed, Verdict::Again));
    assert!(outbox.due(true).is_some_and(|due| due > now));
}

#[test]
fn what_is_no_longer_ours_is_dropped() {
    let (mut outbox, now) = (Outbox::new(Limits::default()), Instant::now());
    for offset in 0..4 {
        outbox.push(Emitted { epoch: Epoch(offset as u64 % 2), ..event(offset, 1) }, now);
    }
    let mut dropped = Vec::new();
    let batch = outbox.take(|_, epoch| epoch == Epoch(0), |event| dropped.push(event.offset));
    assert_eq!(batch.iter().map(|event| event.offset).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(dropped, [1, 3]);
    assert!(outbox.is_empty() && outbox.bytes() == 0 && outbox.due(true).is_none());
}

#[test]
fn a_rebalance_ends_the_pause_of_a_batch_that_was_stale_and_no_other() {
    for (kind, ends) in [(CommitErrorKind::Stale, true), (CommitErrorKind::Transient, false)] {
        let (mut outbox, now) = (Outbox::new(Limits::default()), Instant::now());
        outbox.push(event(0, 1), now);
        let mut pauses = Vec::new();
        for _ in 0..3 {
            let batch = outbox.take(|_, _| true, |_| ());
            drop(outbox.failed(batch, &error(kind), now, u128::from(u64::MAX)));
            pauses.extend(outbox.due(true).map(|due| due - now));
        }
        assert!(pauses.is_sorted_by(|a, b| a < b), "each pause is longer: {pauses:?}");
        outbox.rebalanced();
        assert_eq!(outbox.due(true) == Some(now), ends, "{kind:?}");
    }
}

#[test]
fn what_waits_behind_a_gap_is_not_due_and_a_gap_of_a_lost_partition_closes() {
    let limits = Limits { interval: Duration::ZERO, ..Limits::default() };
    let (mut outbox, now) = (Outbox::new(limits), Instant::now());
    outbox.push(keyed(0, 1), now);
    outbox.push(keyed(1, 1), now);
    let batch = outbox.take(|_, _| true, |_| ());
    let bad = outbox.failed(batch, &error(CommitErrorKind::Unwritable(Some(0))), now, 0);
    let Verdict::Bad(event, _, topic) = bad else { panic!("{bad:?}") };
    assert_eq!((event.offset, topic.as_deref()), (0, Some("out")));
    assert!(outbox.take(|_, _| true, |_| ()).is_empty());
    assert_eq!((outbox.len(), outbox.due(true)), (1, None));
    outbox.push(keyed(2, 2), now);
    let batch = outbox.take(|_, _| true, |_| ());
    assert_eq!(batch.iter().map(|event| event.offset).collect::<Vec<_>>(), [2]);
    assert!(outbox.take(|_, _| false, |_| ()).is_empty());
    assert!(outbox.is_empty() && outbox.bytes() == 0);
}

#[test]
fn a_fenced_member_leaves() {
    let (mut outbox, now) = (Outbox::new(Limits::default()), Instant::now());
    outbox.push(event(0, 1), now);
    let batch = outbox.take(|_, _| true, |_| ());
    let failed = outbox.failed(batch, &error(CommitErrorKind::Fenced), now, 0);
    assert!(matches!(failed, Verdict::Leave(_)));
}

/// A world got stuck on this: the bytes behind the gap stayed counted, and no room was left for anything.
#[test]
fn a_partition_that_left_takes_along_what_stood_behind_a_gap() {
    let (mut outbox, now) = (Outbox::new(Limits::default()), Instant::now());
    outbox.push(keyed(0, 1), now);
    outbox.push(keyed(1, 1), now);
    outbox.push(Emitted { epoch: Epoch(2), ..event(7, 1) }, now);
    let batch = outbox.take(|_, _| true, |_| ());
    let bad = outbox.failed(batch, &error(CommitErrorKind::Unwritable(Some(0))), now, 0);
    assert!(matches!(bad, Verdict::Bad(event, ..) if event.offset == 0));
    let mut dropped = Vec::new();
    let at = event(0, 1).at;
    outbox.give_up(&at, Epoch(1), |event| dropped.push(event.offset));
    assert_eq!((dropped, outbox.len(), outbox.bytes()), (vec![1], 1, 10));
    assert_eq!(outbox.take(|_, _| true, |_| ()).len(), 1);
    assert!(outbox.is_empty());
}

/// An event of that key.
fn keyed(offset: i64, key: u8) -> Emitted {
    let event = event(offset, 1 + offset as usize % 3);
    let lane = Lane { at: event.at.clone(), epoch: event.epoch, key: Some(vec![key].into()) };
    Emitted { lane: Some(lane), ..event }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(10_000), ..ProptestConfig::default() })]

    /// Against a log that refuses every batch with a bad event in it: the good are written once, the bad are each found,
    /// whether the log can name the output or not, and their letters, which come some batches later, stand where their
    /// events stood in the order of their key.
    #[test]
    fn every_bad_event_is_isolated_and_no_good_one_is(
        bad in prop::collection::btree_set(0i64..40, 0..6),
        total in 1i64..40,
        keys in 1i64..5,
        width in 1usize..40,
        named: bool,
        hiccups in any::<u64>(),
        slowness in 0usize..4,
    ) {
        let limits = Limits { interval: Duration::ZERO, events: width, bytes: 1 << 20 };
        let (mut outbox, now) = (Outbox::new(limits), Instant::now());
        for offset in 0..total {
            let key = offset % keys;
            // The first key stands for records without one.
            let event = if key == 0 { event(offset, 1) } else { keyed(offset, key as u8) };
            outbox.push(event, now);
        }
        let (mut written, mut isolated, mut letters) = (Vec::new(), BTreeSet::new(), VecDeque::new());
        for round in 0.. {
            prop_assert!(round < 5_000, "it never ends");
            if let Some((due, _)) = letters.front() && *due <= round {
                let (_, letter) = letters.pop_front().unwrap();
                outbox.fill(letter, now);
            }
            let batch = outbox.take(|_, _| true, |_| ());
            if batch.is_empty() {
                if letters.is_empty() {
                    break;
                }
                continue;
            }
            if hiccups >> (round % 64) & 7 == 0 {
                let again = outbox.failed(batch, &error(CommitErrorKind::Transient), now, 1);
                prop_assert!(matches!(again, Verdict::Again));
                continue;
            }
            let mut first = 0;
            let culprit = batch.iter().find_map(|event| {
                let index = first;
                first += event.outputs.len();
                (bad.contains(&event.offset) && !isolated.contains(&event.offset)).then_some(index)
            });
            match culprit {
                None => {
                    written.extend(batch.iter().map(|event| event.offset));
                    outbox.succeeded();
                }
                Some(index) => {
                    let kind = CommitErrorKind::Unwritable(named.then_some(index));
                    if let Verdict::Bad(event, ..) = outbox.failed(batch, &error(kind), now, 0) {
                        prop_assert!(isolated.insert(event.offset));
                        let letter = Emitted { lane: None, ..*event };
                        letters.push_back((round + slowness, letter));
                    }
                }
            }
        }
        prop_assert!(outbox.is_empty());
        prop_assert_eq!(outbox.bytes(), 0);
        for key in 1..keys {
            let of: Vec<i64> = written.iter().copied().filter(|o| o % keys == key).collect();
            prop_assert!(of.is_sorted(), "of one key: {:?}", of);
        }
        written.sort_unstable();
        prop_assert_eq!(written, Vec::from_iter(0..total));
        prop_assert_eq!(isolated, bad.into_iter().filter(|offset| *offset < total).collect());
    }
}
