//! Planted histories for the checker of the fault runs: a clean one, and one thing wrong in each.

use std::collections::BTreeMap;

use crate::checker::*;

const STAGES: [&str; 2] = ["first", "second"];

/// Six events on two partitions, three keys; event 4 is undecodable, event 5 fails.
fn clean() -> Facts {
    let mut facts = Facts { ends: BTreeMap::from([(0, 3), (1, 3)]), ..Facts::default() };
    for n in 0..6u64 {
        let at = ((n % 2) as i32, (n / 2) as i64);
        let kind = match n {
            4 => Kind::Undecodable,
            5 => Kind::Failing,
            _ => Kind::Good,
        };
        facts.sent.push(Sent { n, key: format!("key-{}", n % 2), at, kind });
        if kind != Kind::Good {
            facts.letters.push(at);
        }
        if kind == Kind::Undecodable {
            continue;
        }
        let place = (at.0, at.1 * 2);
        let event = format!("event-{n}");
        let stages = STAGES.iter().filter(|stage| kind == Kind::Good || **stage == "first");
        let mut outputs = BTreeMap::new();
        for stage in stages.clone() {
            let said = format!("{stage} of {n}");
            outputs.insert((*stage).to_owned(), said.clone());
            if kind == Kind::Good {
                facts.expected.insert((n, (*stage).to_owned()), said);
            }
            facts.calls.push(call(n, stage));
            facts.charges.push(Charge {
                id: format!("attempt-{n}-{stage}"),
                event: event.clone(),
                stage: (*stage).to_owned(),
                amount: 1_000 + i128::from(n),
                unsettled: false,
                adjustment: false,
            });
        }
        let amount = stages.count() as i128 * (1_000 + i128::from(n));
        facts.answers.push(Answer {
            at: place,
            key: format!("key-{}", n % 2),
            origin: at,
            event,
            completed: kind == Kind::Good,
            outputs,
            amount,
        });
        facts.settled.push(Sighting { at: place, seen: 100 + n as i64, digest: n });
    }
    facts.live = facts.settled.clone();
    facts.raw = facts.settled.clone();
    facts.dirty = Some(facts.settled.clone());
    for partition in 0..2 {
        for base in [0, 1, 3] {
            facts.marks.push(Mark { partition, base, metadata: 40 });
        }
    }
    facts
}

fn call(n: u64, stage: &str) -> Call {
    Call {
        n,
        stage: stage.to_owned(),
        instance: 0,
        start: 1_000,
        end: Some(2_000),
        status: Some(200),
        delivered: true,
        price: 1_000 + i128::from(n),
    }
}

fn later(call: Call) -> Call {
    Call { start: 9_000, end: Some(9_500), ..call }
}

/// What is found once `plant` has spoilt the clean history.
#[track_caller]
fn check(plant: impl FnOnce(&mut Facts), expected: &[&str]) {
    check_under(Terms::default(), plant, expected);
}

#[track_caller]
fn check_under(terms: Terms, plant: impl FnOnce(&mut Facts), expected: &[&str]) {
    let mut facts = clean();
    plant(&mut facts);
    let (found, _) = judge(&facts, terms);
    let said: Vec<String> = found.iter().map(|one| format!("{} {}", one.check, one.what)).collect();
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "`{said}` is not `{expected}`");
    }
}

fn killed(facts: &mut Facts, at: i64) {
    facts.deaths.push(Death { instance: 0, at });
}

#[test]
fn a_clean_history_has_no_findings() {
    check(|_| {}, &[]);
    check_under(Terms { paid_once: true, strict: true }, |_| {}, &[]);
}

#[test]
fn a_lost_result_is_found() {
    let plant = |facts: &mut Facts| {
        let lost = facts.answers.remove(0);
        facts.charges.retain(|charge| charge.event != lost.event);
        facts.calls.retain(|call| call.n != 0);
        let dirty = facts.dirty.as_mut().unwrap();
        for list in [&mut facts.settled, &mut facts.live, &mut facts.raw, dirty] {
            list.retain(|one| one.at != lost.at);
        }
    };
    check(plant, &["C1 1 lost: event 0 at 0/0"]);
}

#[test]
fn a_doubled_result_is_found() {
    let plant = |facts: &mut Facts| {
        let mut again = facts.answers[3].clone();
        again.at = (1, 9);
        again.amount = 0;
        facts.answers.push(again);
        let dirty = facts.dirty.as_mut().unwrap();
        for list in [&mut facts.settled, &mut facts.live, &mut facts.raw, dirty] {
            list.push(Sighting { at: (1, 9), seen: 200, digest: 3 });
        }
    };
    check(plant, &["C1 1 doubled: 1/1 2 times", "C4 1 out of order"]);
}

#[test]
fn a_result_of_the_wrong_kind_is_found() {
    check(|facts| facts.answers[0].completed = false, &["C1 1 failed that had to complete: 0/0"]);
    check(|facts| facts.answers[4].completed = true, &["C1 1 completed that had to fail: 1/2"]);
    check(|facts| facts.answers[0].key.push('x'), &["C1 1 under another key: 0/0"]);
    check(
        |facts| facts.answers[0].origin = (7, 7),
        &[
            "C1 1 results of events never sent: 7/7",
            "C1 1 lost",
            "C7 2 cost events without",
            "C7 2",
        ],
    );
}

#[test]
fn dead_letters_that_lack_or_are_too_many_are_found() {
    check(|facts| facts.letters.truncate(1), &["C2 1 dead letters missing: 1/2"]);
    check(|facts| facts.letters.push((0, 2)), &["C2 1 dead letters doubled: 0/2"]);
    check(|facts| facts.letters.push((0, 0)), &["C2 1 dead letters of good events: 0/0"]);
}

#[test]
fn a_dead_letter_that_does_not_say_why_is_found() {
    check(
        |facts| facts.unexplained.push((0, 2)),
        &["C2 1 dead letters without a whole reason: 0/2"],
    );
}

#[test]
fn a_wrong_answer_is_found() {
    let plant = |facts: &mut Facts| {
        facts.answers[1].outputs.insert("second".to_owned(), "second of 2".to_owned());
    };
    check(plant, &["C3 1 wrong answers: event 1 second: `second of 2`"]);
}

#[test]
fn results_in_the_wrong_order_are_found() {
    let plant = |facts: &mut Facts| {
        let (one, other) = (facts.answers[0].at, facts.answers[2].at);
        facts.answers[0].at = other;
        facts.answers[2].at = one;
    };
    check(plant, &["C4 1 out of order: key-0: 0/0 after 1"]);
}

#[test]
fn progress_that_moves_back_ends_early_or_grows_too_large_is_found() {
    let back = |facts: &mut Facts| {
        facts.marks.push(Mark { partition: 0, base: 2, metadata: 40 });
        facts.marks.push(Mark { partition: 0, base: 3, metadata: 40 });
    };
    check(back, &["C5 1 bases moved back: partition 0: 3 to 2"]);
    check(|facts| facts.marks.truncate(5), &["C5 1 partitions not finished: partition 1: 1 of 3"]);
    check(|facts| facts.marks[5].metadata = 4_097, &["C5 1 metadata too large"]);
}

#[test]
fn a_read_of_what_was_aborted_is_found() {
    let plant = |facts: &mut Facts| {
        let aborted = Sighting { at: (0, 7), seen: 300, digest: 99 };
        facts.live.push(aborted);
        facts.raw.push(aborted);
        facts.dirty.as_mut().unwrap().push(aborted);
    };
    check(plant, &["C6 1 read and then gone: 0/7"]);
    let replaced = |facts: &mut Facts| facts.live[0].digest = 99;
    check(replaced, &["C6 1 read and then gone: 0/0"]);
}

#[test]
fn jumps_and_holes_of_a_reader_are_found() {
    let jump = |facts: &mut Facts| facts.live.swap(0, 2);
    check(jump, &["C6 1 offset jumps: 0/0 after 2"]);
    check(
        |facts| facts.live.retain(|one| one.at != (1, 0)),
        &["C6 1 committed and never seen: 1/0"],
    );
    check(
        |facts| facts.raw.retain(|one| one.at != (1, 0)),
        &["C6 1 seen by a reader of all, and gone or changed: 1/0", "C6 1 committed and not there"],
    );
    check(|facts| facts.held_up = 30_001, &["C6 1 times readers were held up too long"]);
}

#[test]
fn what_a_reader_of_all_records_saw_is_compared_too() {
    let jump = |facts: &mut Facts| facts.dirty.as_mut().unwrap().swap(0, 2);
    check(jump, &["C6 1 offset jumps of a reader of all: 0/0 after 2"]);
    let hole = |facts: &mut Facts| facts.dirty.as_mut().unwrap().retain(|one| one.at != (1, 0));
    check(hole, &["C6 1 there and not shown to a reader of all: 1/0"]);
    let changed = |facts: &mut Facts| facts.dirty.as_mut().unwrap()[0].digest = 99;
    check(changed, &["C6 1 seen by a reader of all, and gone or changed: 0/0"]);
    let aborted = |facts: &mut Facts| {
        let aborted = Sighting { at: (0, 7), seen: 300, digest: 99 };
        facts.dirty.as_mut().unwrap().push(aborted);
        facts.raw.push(aborted);
    };
    check(aborted, &[]);
}

#[test]
fn a_record_that_was_aborted_and_never_read_is_counted_only() {
    let mut facts = clean();
    let aborted = Sighting { at: (0, 7), seen: 300, digest: 0 };
    facts.raw.push(aborted);
    facts.dirty.as_mut().unwrap().push(aborted);
    let (found, figures) = judge(&facts, Terms::default());
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(figures.aborted, 1);
}

#[test]
fn money_that_does_not_add_up_is_found() {
    check(|facts| facts.answers[0].amount += 1, &["C7 1 totals that differ"]);
    let twice = |facts: &mut Facts| {
        let again = facts.charges[0].clone();
        facts.answers[0].amount += again.amount;
        facts.charges.push(again);
    };
    check(twice, &["C7 1 cost events doubled", "C7 1 cost events that the ledger does not have"]);
    let cheap = |facts: &mut Facts| {
        facts.charges[0].amount -= 1;
        facts.answers[0].amount -= 1;
    };
    check(
        cheap,
        &[
            "C7 1 cost events that the ledger does not have",
            "C7 1 calls that no",
            "C7 1 results that",
        ],
    );
    let stray = |facts: &mut Facts| facts.charges[0].event = "event-99".to_owned();
    check(stray, &["C7 1 totals", "C7 1 cost events without", "C7 1 calls", "C7 1 results that"]);
}

#[test]
fn a_call_that_nobody_charged_is_found_unless_somebody_died() {
    let extra = |facts: &mut Facts| facts.calls.push(later(call(0, "first")));
    check(
        extra,
        &["C7 1 calls that no cost event tells of", "C8 1 calls paid again though nobody"],
    );
    let at_death = |facts: &mut Facts| {
        extra(facts);
        killed(facts, 1_500);
    };
    check(at_death, &[]);
    let long_before = |facts: &mut Facts| {
        extra(facts);
        killed(facts, 30_000);
    };
    check(long_before, &["C7 1 calls without an intent though their instance lived: event 0"]);
    check_under(
        Terms { paid_once: true, strict: true },
        at_death,
        &["C7 1 calls without an intent: event 0 first"],
    );
    let free = |facts: &mut Facts| {
        at_death(facts);
        let amount = facts.charges.remove(0).amount;
        facts.answers[0].amount -= amount;
    };
    // Of two calls that were answered, one began late enough to have no intent.
    check(
        free,
        &[
            "C7 1 calls without an intent though their instance lived: event 0 first",
            "C7 1 results that cost nothing: event 0 first",
        ],
    );
}

#[test]
fn an_unsettled_charge_stands_for_a_call_and_is_its_ceiling() {
    let unsettled = |amount: i128| {
        move |facts: &mut Facts| {
            facts.calls.push(later(call(0, "first")));
            killed(facts, 1_500);
            facts.answers[0].amount += amount;
            facts.charges.push(Charge {
                id: "intent".to_owned(),
                unsettled: true,
                amount,
                ..facts.charges[0].clone()
            });
        }
    };
    let terms = Terms { paid_once: true, strict: true };
    check_under(terms, unsettled(5_000), &[]);
    check_under(terms, unsettled(10), &["C7 1 unsettled below the price: intent"]);
}

fn opening(partition: i32, at: i64, offset: i64) -> Opening {
    Opening { partition, at, offset, run: "2".to_owned() }
}

#[test]
fn a_call_may_be_made_again_by_whoever_was_given_its_partition() {
    let moved = |partition: i32, at: i64| {
        move |facts: &mut Facts| {
            facts.calls.push(later(call(0, "first")));
            facts.openings.push(opening(partition, 500, 0));
            facts.openings.push(opening(partition, at, 9));
        }
    };
    let once = Terms { paid_once: true, strict: false };
    check_under(once, moved(0, 1_500), &[]);
    let found = ["C7 1 calls that no cost event tells of", "C8 1 calls paid again though nobody"];
    // Of another partition; before both; and the first to have it did not take it from anybody.
    check_under(once, moved(1, 1_500), &found);
    check_under(once, moved(0, 600), &found);
    let first = |facts: &mut Facts| {
        facts.calls.push(later(call(0, "first")));
        facts.openings.push(opening(0, 1_500, 0));
    };
    check_under(once, first, &found);
    let mut facts = clean();
    moved(0, 1_500)(&mut facts);
    let figures = judge(&facts, once).1;
    assert_eq!((figures.repaid, figures.moves, figures.cut_short), (1, 1, 1));
    let of_partition = facts.calls.iter().filter(|call| call.n % 2 == 0 && call.start < 1_500);
    assert_eq!(figures.in_flight, of_partition.count());
}

#[test]
fn a_journaled_call_that_was_paid_again_is_found_where_that_is_promised() {
    let plant = |death, journaled: i64| {
        move |facts: &mut Facts| {
            facts.calls.push(later(call(0, "first")));
            let (origin, stage, run) = ((0, 0), "first".to_owned(), "1".to_owned());
            facts.journal.push(Journaled { origin, stage, at: journaled, offset: 7, run });
            killed(facts, death);
        }
    };
    let once = Terms { paid_once: true, strict: false };
    check(plant(5_000, 2_000), &[]);
    check_under(once, plant(5_000, 2_000), &["C8 1 journaled calls paid again: event 0 first"]);
    // Who had the partition by then was given it before that outcome came, or after.
    for (offset, found) in [(6, &[][..]), (8, &["C8 1 journaled calls paid again: event 0 first"])]
    {
        let opened = |facts: &mut Facts| {
            plant(5_000, 2_000)(facts);
            facts.openings.push(opening(0, 1_900, offset));
        };
        check_under(once, opened, found);
    }
    // Its outcome came into the journal with the second call only.
    check_under(once, plant(5_000, 9_500), &[]);
    let without_a_death = ["C7 1 calls without an intent", "C8 1 calls paid again though their"];
    check_under(once, plant(500, 9_500), &without_a_death);
    let other = |facts: &mut Facts| {
        facts.calls.push(later(call(0, "first")));
        facts.deaths.push(Death { instance: 1, at: 1_500 });
    };
    check_under(once, other, &without_a_death);
    let mut facts = clean();
    plant(1_500, 9_500)(&mut facts);
    let figures = judge(&facts, once).1;
    assert_eq!((figures.repaid, figures.in_flight), (1, clean().calls.len()));
}
