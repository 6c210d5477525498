//! C8: what was paid again against what was in flight.

use std::collections::{BTreeMap, BTreeSet};

use super::{Call, Death, Facts, Figures, Findings, Journaled, Terms, numbers, partitions};

/// How far the clocks of two processes on one machine may lie apart, in milliseconds.
pub(super) const SLACK: i64 = 50;
/// An entry that is later than this in the journal was never on its way there, in milliseconds.
pub(super) const LONGEST_WAY: i64 = 10_000;

pub(super) fn judge(facts: &Facts, terms: Terms, found: &mut Findings, figures: &mut Figures) {
    let mut paid: BTreeMap<(u64, &str), Vec<&Call>> = BTreeMap::new();
    // One that was refused costs nothing; one that was cut off may have been charged.
    let may_cost = |call: &&Call| call.delivered || call.status.is_none();
    for call in facts.calls.iter().filter(may_cost) {
        paid.entry((call.n, &call.stage)).or_default().push(call);
    }
    let mut journaled: BTreeMap<(u64, &str), &Journaled> = BTreeMap::new();
    let numbers = numbers(facts);
    for one in &facts.journal {
        let Some(n) = numbers.get(&one.origin) else { continue };
        let first = journaled.entry((*n, one.stage.as_str())).or_insert(one);
        if one.at < first.at {
            *first = one;
        }
    }
    let outcome = |call: &Call, then: i64| {
        let first = journaled.get(&(call.n, call.stage.as_str()))?;
        (first.at + SLACK < then).then_some(*first)
    };
    let known = |call: &Call, then: i64| outcome(call, then).is_some();
    let readable = |call: &Call, then: i64| {
        outcome(call, then).is_some_and(|outcome| readable(facts, call, outcome, then))
    };
    let partitions = partitions(facts);
    let moves = moves(facts);
    figures.in_flight = facts
        .calls
        .iter()
        .filter(|call| {
            let died = |death: &Death| death.instance == call.instance;
            let ends = facts.deaths.iter().filter(|death| died(death)).map(|death| death.at);
            let moved = partitions.get(&call.n).and_then(|partition| moves.get(partition));
            let mut ends = ends.chain(moved.into_iter().flatten().copied());
            ends.any(|at| in_flight(call, at, &known))
        })
        .count();
    let mut cut_short = BTreeSet::new();
    for ((n, stage), mut calls) in paid {
        calls.sort_by_key(|call| call.start);
        figures.repaid += calls.len() - 1;
        for two in calls.windows(2) {
            let example = || format!("event {n} {stage}");
            let partition = partitions.get(&n).copied().unwrap_or(-1);
            let moved = moved_between(two[0], two[1], moves.get(&partition));
            cut_short.extend(moved.map(|at| (partition, at)));
            let excused = begun_before_a_death(two[0], two[1], facts) || moved.is_some();
            if !excused && facts.deaths.is_empty() {
                found.add("C8", "calls paid again though nobody died", example());
            } else if terms.paid_once && readable(two[0], two[1].start) {
                found.add("C8", "journaled calls paid again", example());
            } else if terms.paid_once && !excused {
                found.add("C8", "calls paid again though their instance lived", example());
            }
        }
    }
    figures.moves = moves.values().map(Vec::len).sum();
    figures.cut_short = cut_short.len();
}

/// When each partition was given to somebody who had not been the first to have it.
pub(super) fn moves(facts: &Facts) -> BTreeMap<i32, Vec<i64>> {
    let mut moves: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for opening in &facts.openings {
        moves.entry(opening.partition).or_default().push(opening.at);
    }
    for times in moves.values_mut() {
        times.sort_unstable();
        times.remove(0);
    }
    moves
}

/// Whether who had the partition then knew the outcome: it stood in the journal when he was given the partition, or is his
/// own, of a call that he began since.
fn readable(facts: &Facts, call: &Call, outcome: &Journaled, then: i64) -> bool {
    let openings = facts.openings.iter().filter(|it| it.partition == outcome.origin.0);
    let owner = openings.filter(|opening| opening.at <= then + SLACK).max_by_key(|it| it.offset);
    owner.is_none_or(|owner| {
        let own = outcome.run == owner.run && call.start >= owner.at - SLACK;
        outcome.offset < owner.offset || own
    })
}

/// Whether its instance died after it began and before it was made again.
fn begun_before_a_death(call: &Call, again: &Call, facts: &Facts) -> bool {
    let between = call.start - SLACK..again.start + SLACK;
    facts.deaths.iter().any(|death| death.instance == call.instance && between.contains(&death.at))
}

/// When its partition was given to somebody, or to the same instance anew, after it began and before it was made again.
fn moved_between(call: &Call, again: &Call, moves: Option<&Vec<i64>>) -> Option<i64> {
    let between = call.start - SLACK..again.start + SLACK;
    moves.into_iter().flatten().copied().find(|at| between.contains(at))
}

/// Whether it had begun when its instance died or lost its partition, and had no outcome in the journal as it stood then.
fn in_flight(call: &Call, at: i64, known: &impl Fn(&Call, i64) -> bool) -> bool {
    let long_ended = call.end.is_some_and(|end| end + LONGEST_WAY < at);
    call.start <= at + SLACK && !long_ended && !known(call, at)
}

/// All calls of stages that were paid more than once, by event and time.
pub fn paid_again(facts: &Facts) -> Vec<&Call> {
    let mut times: BTreeMap<(u64, &str), Vec<&Call>> = BTreeMap::new();
    for call in &facts.calls {
        times.entry((call.n, &call.stage)).or_default().push(call);
    }
    let costly = |calls: &&Vec<&Call>| {
        calls.iter().filter(|call| call.delivered || call.status.is_none()).count() > 1
    };
    times.values().filter(costly).flatten().copied().collect()
}
