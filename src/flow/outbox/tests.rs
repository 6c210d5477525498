use std::collections::BTreeSet;
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
    let consumed = Consumed { record, epoch: Epoch(1), received_at: 0, began: Instant::now() };
    Emitted {
        at,
        epoch: Epoch(1),
        offset,
        consumed: Arc::new(consumed),
        completed: None,
        outputs: vec![output; outputs],
        outcome: Outcome::Completed,
        refusal: None,
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
    let batch = outbox.take(|_| true);
    let failed =
        outbox.failed(batch, &error(CommitErrorKind::Transient), now, u128::from(u64::MAX));
    assert!(matches!(failed, Verdict::Again));
    assert!(outbox.due(true).is_some_and(|due| due > now));
}

#[test]
fn what_is_no_longer_ours_is_dropped() {
    let (mut outbox, now) = (Outbox::new(Limits::default()), Instant::now());
    (0..4).for_each(|offset| outbox.push(event(offset, 1), now));
    let batch = outbox.take(|event| event.offset % 2 == 0);
    assert_eq!(batch.iter().map(|event| event.offset).collect::<Vec<_>>(), [0, 2]);
    assert!(outbox.is_empty() && outbox.bytes() == 0 && outbox.due(true).is_none());
}

#[test]
fn a_fenced_member_leaves() {
    let (mut outbox, now) = (Outbox::new(Limits::default()), Instant::now());
    outbox.push(event(0, 1), now);
    let batch = outbox.take(|_| true);
    let failed = outbox.failed(batch, &error(CommitErrorKind::Fenced), now, 0);
    assert!(matches!(failed, Verdict::Leave(_)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Against a log that refuses every batch with a bad event in it: the good are written once and in order, the bad
    /// are each found, whether the log can name the output or not.
    #[test]
    fn every_bad_event_is_isolated_and_no_good_one_is(
        bad in prop::collection::btree_set(0i64..60, 0..6),
        total in 1i64..60,
        width in 1usize..40,
        named: bool,
        hiccups in prop::collection::vec(prop::bool::weighted(0.2), 400),
    ) {
        let limits = Limits { interval: Duration::ZERO, events: width, bytes: 1 << 20 };
        let (mut outbox, now) = (Outbox::new(limits), Instant::now());
        (0..total).for_each(|offset| outbox.push(event(offset, 1 + offset as usize % 3), now));
        let (mut written, mut isolated) = (Vec::new(), BTreeSet::new());
        let mut hiccups = hiccups.into_iter();
        while !outbox.is_empty() {
            let batch = outbox.take(|_| true);
            if hiccups.next().unwrap_or(false) {
                let again = outbox.failed(batch, &error(CommitErrorKind::Transient), now, 1);
                prop_assert!(matches!(again, Verdict::Again));
                continue;
            }
            let mut first = 0;
            let culprit = batch.iter().find_map(|event| {
                let index = first;
                first += event.outputs.len();
                bad.contains(&event.offset).then_some(index)
            });
            match culprit {
                None => {
                    written.extend(batch.iter().map(|event| event.offset));
                    outbox.succeeded();
                }
                Some(index) => {
                    let kind = CommitErrorKind::Unwritable(named.then_some(index));
                    if let Verdict::Bad(event, _) = outbox.failed(batch, &error(kind), now, 0) {
                        prop_assert!(isolated.insert(event.offset));
                    }
                }
            }
        }
        let expected: Vec<i64> = (0..total).filter(|offset| !bad.contains(offset)).collect();
        prop_assert_eq!(written, expected);
        prop_assert_eq!(isolated, bad.into_iter().filter(|offset| *offset < total).collect());
        prop_assert_eq!(outbox.bytes(), 0);
    }
}
