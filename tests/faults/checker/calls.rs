//! C8: what was paid again against what was in flight.

use std::collections::BTreeMap;

use super::{Call, Facts, Figures, Findings, Terms};

/// How far the clocks of two processes on one machine, and the journal's acknowledgement after a reply, may lie apart,
/// in milliseconds.
const SLACK: i64 = 250;

pub(super) fn judge(facts: &Facts, terms: Terms, found: &mut Findings, figures: &mut Figures) {
    let mut paid: BTreeMap<(u64, &str), Vec<&Call>> = BTreeMap::new();
    // One that was refused costs nothing; one that was cut off may have been charged.
    let may_cost = |call: &&Call| call.delivered || call.status.is_none();
    for call in facts.calls.iter().filter(may_cost) {
        paid.entry((call.n, &call.stage)).or_default().push(call);
    }
    figures.in_flight = facts.calls.iter().filter(|call| open_at_a_death(call, facts)).count();
    for ((n, stage), mut calls) in paid {
        calls.sort_by_key(|call| call.start);
        figures.repaid += calls.len() - 1;
        // All but the last were paid in vain: each must have been open when its instance died.
        for call in &calls[..calls.len() - 1] {
            let example = || format!("event {n} {stage}");
            if facts.deaths.is_empty() {
                found.add("C8", "calls paid again though nobody died", example());
            } else if terms.paid_once && !open_at_a_death(call, facts) {
                found.add("C8", "finished calls paid again", example());
            }
        }
    }
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

/// Whether it was in flight when its instance died: begun, and not ended for longer than an outcome needs to be durable.
fn open_at_a_death(call: &Call, facts: &Facts) -> bool {
    facts.deaths.iter().any(|death| {
        death.instance == call.instance
            && call.start <= death.at + SLACK
            && call.end.is_none_or(|end| end >= death.at - SLACK)
    })
}
