use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Receive, State, Tracker};
use crate::stream::{Epoch, Progress};

#[derive(Clone, Debug)]
enum Step {
    /// Records arrive, each so many offsets after the one before.
    Arrive { count: usize, gap: i64 },
    /// A share of the running events completes, picked from either end.
    Complete { share: f64, newest_first: bool },
    /// A share of the completed events is committed, or the commit fails.
    Commit { share: f64, newest_first: bool, fails: bool },
    /// A completed event has to run again.
    Reopen(prop::sample::Index),
    /// The partition comes back with what was committed; some records may be gone by then.
    Reassign { gone: Option<prop::sample::Index> },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![4 => Just(1_i64), 3 => 1..5_i64, 1 => 1_000..40_000_i64, 1 => 1..40_000_000_i64];
    let share = prop_oneof![0.0..1.0_f64, Just(1.0)];
    let count = prop_oneof![400 => 1..12_usize, 1 => 300..600_usize];
    let step = prop_oneof![
        4 => (count, gap).prop_map(|(count, gap)| Step::Arrive { count, gap }),
        3 => (share.clone(), any::<bool>())
            .prop_map(|(share, newest_first)| Step::Complete { share, newest_first }),
        3 => (share, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(share, newest_first, fails)| Step::Commit { share, newest_first, fails }),
        1 => any::<prop::sample::Index>().prop_map(Step::Reopen),
        1 => prop::option::weighted(0.3, any::<prop::sample::Index>())
            .prop_map(|gone| Step::Reassign { gone }),
    ];
    prop::collection::vec(step, 1..16)
}

/// The oracle: plain sets over the records that exist.
#[derive(Default)]
struct Naive {
    /// What the topic holds.
    records: BTreeSet<i64>,
    /// One past the last offset that was ever given: none is given twice, also when its record is gone.
    given: i64,
    /// How far this assignment has read.
    read: i64,
    running: BTreeSet<i64>,
    completed: BTreeSet<i64>,
    committed: BTreeSet<i64>,
}

fn pick(from: &BTreeSet<i64>, share: f64, newest_first: bool) -> Vec<i64> {
    let count = (from.len() as f64 * share).ceil() as usize;
    match newest_first {
        true => from.iter().rev().take(count).copied().collect(),
        false => from.iter().take(count).copied().collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(10_000), ..ProptestConfig::default() })]

    #[test]
    fn the_tracker_does_what_plain_sets_do(steps in steps()) {
        let mut naive = Naive::default();
        let mut tracker = Tracker::new(Epoch(1), Progress::starting_at(0));
        let mut text = Progress::starting_at(0).encode();
        for step in steps {
            match step {
                Step::Arrive { count, gap } => {
                    let last = naive.given - 1;
                    naive.records.extend((1..=count as i64).map(|n| last + n * gap));
                    naive.given = last + count as i64 * gap + 1;
                    read(&mut naive, &mut tracker)?;
                }
                Step::Complete { share, newest_first } => {
                    for offset in pick(&naive.running, share, newest_first) {
                        prop_assert!(tracker.complete(tracker.epoch(), offset));
                        prop_assert!(!tracker.complete(tracker.epoch(), offset), "twice");
                        naive.running.remove(&offset);
                        naive.completed.insert(offset);
                    }
                }
                Step::Commit { share, newest_first, fails } => {
                    let chosen = pick(&naive.completed, share, newest_first);
                    let progress = tracker.progress(&chosen, 9, 0);
                    prop_assert!(progress.encode().len() <= Progress::MAX_TEXT);
                    prop_assert_eq!(progress.sequence, tracker.committed().sequence + 1);
                    if !fails {
                        text = progress.encode();
                        prop_assert!(progress.base >= tracker.committed().base);
                        naive.committed.extend(&chosen);
                        naive.completed.retain(|offset| !chosen.contains(offset));
                        prop_assert!(tracker.settle(tracker.epoch(), &chosen, progress));
                        read(&mut naive, &mut tracker)?;
                    }
                }
                Step::Reopen(index) if !naive.completed.is_empty() => {
                    let offset = *index.get(&Vec::from_iter(naive.completed.iter().copied()));
                    prop_assert!(tracker.reopen(tracker.epoch(), offset));
                    naive.completed.remove(&offset);
                    naive.running.insert(offset);
                }
                Step::Reopen(_) => {}
                Step::Reassign { gone } => {
                    if let Some(index) = gone && !naive.records.is_empty() {
                        let all = Vec::from_iter(naive.records.iter().copied());
                        naive.records.remove(index.get(&all));
                    }
                    let old = tracker.epoch();
                    let base = tracker.committed().base;
                    let progress = Progress::decode(base, &text).unwrap_or_default();
                    prop_assert_eq!(&progress, &Progress { base, ..tracker.committed().clone() });
                    tracker = Tracker::new(Epoch(old.0 + 1), progress);
                    let late: Vec<i64> = (&naive.running | &naive.completed).into_iter().collect();
                    naive.running.clear();
                    naive.completed.clear();
                    naive.read = base;
                    read(&mut naive, &mut tracker)?;
                    for offset in late {
                        prop_assert!(!tracker.complete(old, offset), "R4");
                    }
                }
            }
            prop_assert_eq!(tracker.self_check(), Ok(()));
            prop_assert_eq!(tracker.running(), naive.running.len());
            prop_assert_eq!(tracker.completed(), naive.completed.len());
            prop_assert_eq!(tracker.seen(), naive.read);
            let resumed = &tracker.committed().incomplete;
            let expected = &resumed[resumed.partition_point(|offset| *offset < naive.read)..];
            let received = naive.running.len() + naive.completed.len();
            prop_assert_eq!(tracker.open(), received + expected.len());
            let open = [naive.running.first(), naive.completed.first(), expected.first()];
            let highest = naive.read.max(tracker.committed().high);
            let span = open.into_iter().flatten().min().map_or(0, |first| highest - first);
            prop_assert_eq!(tracker.span(), span);
            // R2: of the records that are there, the log calls done exactly those that were committed.
            for offset in &naive.records {
                let done = tracker.committed().is_done(*offset);
                prop_assert_eq!(done, naive.committed.contains(offset), "offset {}", offset);
            }
        }
    }
}

/// Offers everything that is there and not read yet, as a log does.
fn read(naive: &mut Naive, tracker: &mut Tracker) -> Result<(), TestCaseError> {
    let highest_done = naive.committed.last().copied().unwrap_or(-1);
    let mut open: BTreeSet<i64> = &naive.running | &naive.completed;
    let ahead: Vec<i64> = naive.records.range(naive.read..).copied().collect();
    for offset in ahead {
        let known = tracker.committed().incomplete.binary_search(&offset).is_ok();
        let first = open.first().copied().unwrap_or(offset);
        let span = offset.max(highest_done) + 1 - first;
        let expected = match () {
            () if naive.committed.contains(&offset) => Receive::Skip,
            () if known || Progress::fits(span, open.len() + 1) => Receive::Run,
            () => Receive::Hold,
        };
        prop_assert_eq!(tracker.receive(offset), expected, "offset {}", offset);
        match expected {
            Receive::Hold => break,
            Receive::Run => {
                open.insert(offset);
                naive.running.insert(offset);
            }
            Receive::Skip => {}
        }
        naive.read = offset + 1;
        prop_assert_eq!(tracker.receive(offset), Receive::Skip, "read twice");
    }
    Ok(())
}

fn tracker_with(received: impl IntoIterator<Item = i64>) -> Tracker {
    let mut tracker = Tracker::new(Epoch(1), Progress::starting_at(0));
    for offset in received {
        assert_eq!(tracker.receive(offset), Receive::Run);
    }
    tracker
}

#[test]
fn completed_events_outside_the_batch_are_not_in_its_progress() {
    let mut tracker = tracker_with(0..5);
    for offset in [1, 2, 4] {
        assert!(tracker.complete(Epoch(1), offset));
    }
    let progress = tracker.progress(&[4, 1], 1, 0);
    assert_eq!((progress.base, progress.high), (0, 5));
    assert_eq!(progress.incomplete, [0, 2, 3]);
}

#[test]
fn a_commit_that_failed_leaves_no_trace() {
    let mut tracker = tracker_with(0..3);
    assert!(tracker.complete(Epoch(1), 0));
    let first = tracker.progress(&[0], 1, 0);
    assert_eq!(tracker.progress(&[0], 1, 0), first);
    assert_eq!(tracker.committed(), &Progress::starting_at(0));
    assert!(!tracker.settle(Epoch(0), &[0], first), "an older assignment's commit");
    assert_eq!(tracker.completed(), 1);
}

#[test]
fn gaps_count_as_done() {
    let mut tracker = tracker_with([10, 11, 20]);
    assert!(tracker.complete(Epoch(1), 10) && tracker.complete(Epoch(1), 11));
    let progress = tracker.progress(&[10, 11], 1, 0);
    assert_eq!((progress.base, progress.high, progress.incomplete.len()), (20, 20, 0));
    assert_eq!(tracker.gaps(), 18);
}

#[test]
fn an_expected_record_that_is_gone_does_not_hold_the_base() {
    let resumed = Progress { base: 5, high: 10, incomplete: vec![5, 7], ..Progress::default() };
    let mut tracker = Tracker::new(Epoch(2), resumed);
    assert_eq!(tracker.receive(6), Receive::Skip);
    assert_eq!(tracker.receive(7), Receive::Run);
    assert!(tracker.complete(Epoch(2), 7));
    assert_eq!(tracker.progress(&[7], 1, 0).base, 10);
}

#[test]
fn one_stuck_event_lets_the_rest_of_the_partition_go_on() {
    let mut tracker = tracker_with([0]);
    let mut held = 0;
    for offset in 1..100_000 {
        if tracker.receive(offset) == Receive::Hold {
            held += 1;
            break;
        }
        assert!(tracker.complete(Epoch(1), offset));
        if offset % 500 == 0 {
            let chosen = Vec::from_iter(offset - 499..=offset);
            let progress = tracker.progress(&chosen, 1, 0);
            assert!(tracker.settle(Epoch(1), &chosen, progress));
        }
    }
    assert_eq!((held, tracker.committed().base), (0, 0));
    assert!(tracker.span() > 99_000);
    assert_eq!(tracker.lag(100_000), 100_000);
}

#[test]
fn uncommitted_completions_count_for_rule_a() {
    let mut tracker = tracker_with([0]);
    for offset in 1..Progress::DENSE_SPAN {
        assert_eq!(tracker.receive(offset), Receive::Run);
        assert!(tracker.complete(Epoch(1), offset));
    }
    assert_eq!(tracker.receive(Progress::DENSE_SPAN), Receive::Hold);
    let chosen = Vec::from_iter(1..Progress::DENSE_SPAN);
    let progress = tracker.progress(&chosen, 1, 0);
    assert!(tracker.settle(Epoch(1), &chosen, progress));
    assert_eq!(tracker.receive(Progress::DENSE_SPAN), Receive::Run);
}

#[test]
fn every_record_of_a_full_map_runs_after_a_restart() {
    let incomplete = Vec::from_iter((0..Progress::SPARSE_OFFSETS as i64).map(|n| n * 30_000));
    let high = Progress::SPARSE_SPAN;
    let resumed = Progress { high, incomplete: incomplete.clone(), ..Progress::default() };
    let mut tracker = Tracker::new(Epoch(2), resumed);
    for offset in incomplete {
        assert_eq!(tracker.receive(offset), Receive::Run);
    }
    assert_eq!(tracker.receive(high), Receive::Hold);
}

#[test]
fn what_is_resumed_runs_even_if_it_is_more_than_rule_a_admits() {
    let incomplete = Vec::from_iter((0..Progress::SPARSE_OFFSETS as i64 * 2).map(|n| n * 30));
    let high = Progress::SPARSE_SPAN;
    let resumed = Progress { high, incomplete: incomplete.clone(), ..Progress::default() };
    let mut tracker = Tracker::new(Epoch(2), resumed);
    for offset in incomplete {
        assert_eq!(tracker.receive(offset), Receive::Run);
    }
}

#[test]
fn rule_a_admits_the_thousandth_open_offset_of_a_long_span_and_no_further() {
    let step = Progress::DENSE_SPAN / 800;
    let most = Progress::SPARSE_OFFSETS as i64;
    let mut tracker = tracker_with((0..most).map(|n| n * step));
    assert_eq!(tracker.open(), Progress::SPARSE_OFFSETS);
    assert_eq!(tracker.receive(most * step), Receive::Hold);
    assert_eq!(tracker.open(), Progress::SPARSE_OFFSETS);
}

#[test]
fn rule_a_admits_an_offset_at_the_end_of_the_longest_span_and_no_further() {
    for (offset, expected) in
        [(Progress::SPARSE_SPAN - 1, Receive::Run), (Progress::SPARSE_SPAN, Receive::Hold)]
    {
        assert_eq!(tracker_with([0]).receive(offset), expected);
    }
}

#[test]
fn the_lag_counts_from_the_committed_offset_and_is_never_negative() {
    let tracker = Tracker::new(Epoch(1), Progress::starting_at(30));
    assert_eq!([20, 30, 42].map(|end| tracker.lag(end)), [0, 0, 12]);
}

#[test]
fn a_tracker_out_of_order_says_so() {
    let resumed = Progress { base: 5, high: 10, incomplete: vec![5, 8], ..Progress::default() };
    let mut tracker = Tracker::new(Epoch(2), resumed);
    assert_eq!(tracker.self_check(), Ok(()));
    assert_eq!(tracker.receive(5), Receive::Run);
    assert_eq!(tracker.self_check(), Ok(()));
    let broken: [fn(&mut Tracker); 8] = [
        |tracker| tracker.running += 1,
        |tracker| tracker.completed += 1,
        |tracker| _ = tracker.open.insert(6, State::Running),
        |tracker| _ = tracker.open.insert(9, State::Expected),
        |tracker| {
            tracker.open.insert(8, State::Completed);
            tracker.completed += 1;
        },
        |tracker| {
            tracker.open.insert(5, State::Expected);
            tracker.running -= 1;
        },
        |tracker| tracker.committed.incomplete.push(3),
        |tracker| tracker.seen += Progress::SPARSE_SPAN,
    ];
    for (index, harm) in broken.into_iter().enumerate() {
        let mut harmed = tracker.clone();
        harm(&mut harmed);
        assert!(harmed.self_check().is_err(), "{index}: {harmed:?}");
    }
}
