//! C7: what cost events say against what the model server says.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::{LONGEST_WAY, SLACK, moves};
use super::{Call, Facts, Figures, Findings, Terms, numbers, partitions};

pub(super) fn judge(facts: &Facts, terms: Terms, found: &mut Findings, figures: &mut Figures) {
    let mut ids = BTreeSet::new();
    for charge in facts.charges.iter().filter(|charge| !ids.insert(&charge.id)) {
        found.add("C7", "cost events doubled", charge.id.clone());
    }
    totals(facts, found);

    let numbers = numbers(facts);
    let of_event: BTreeMap<&str, u64> = facts
        .answers
        .iter()
        .filter_map(|answer| Some((answer.event.as_str(), *numbers.get(&answer.origin)?)))
        .collect();
    // Prices of delivered calls that no charge was found for yet.
    let mut open: BTreeMap<(u64, &str), Vec<i128>> = BTreeMap::new();
    for call in facts.calls.iter().filter(|call| call.delivered) {
        open.entry((call.n, &call.stage)).or_default().push(call.price);
    }
    let mut unsettled: BTreeMap<(u64, &str), usize> = BTreeMap::new();
    for charge in facts.charges.iter().filter(|charge| !charge.adjustment) {
        let Some(n) = of_event.get(charge.event.as_str()) else {
            found.add("C7", "cost events without a result", charge.id.clone());
            continue;
        };
        let place = (*n, charge.stage.as_str());
        if charge.unsettled {
            *unsettled.entry(place).or_default() += 1;
            let dearest = open.get(&place).and_then(|prices| prices.iter().max());
            if dearest.is_some_and(|price| charge.amount < *price) {
                found.add("C7", "unsettled below the price", charge.id.clone());
            }
        } else if charge.amount != 0 {
            let prices = open.entry(place).or_default();
            match prices.iter().position(|price| *price == charge.amount) {
                Some(at) => drop(prices.swap_remove(at)),
                None => {
                    let example = format!("event {n} {}: {}", charge.stage, charge.amount);
                    found.add("C7", "cost events that the ledger does not have", example);
                }
            }
        }
    }
    // What a process was answered that had lost the partition is told late, as an adjustment of nothing.
    for late in facts.charges.iter().filter(|charge| charge.adjustment && charge.amount > 0) {
        let prices = of_event.get(late.event.as_str());
        let prices = prices.and_then(|n| open.get_mut(&(*n, late.stage.as_str())));
        if let Some((prices, at)) = prices.and_then(|prices| {
            let at = prices.iter().position(|price| *price == late.amount)?;
            Some((prices, at))
        }) {
            prices.swap_remove(at);
        }
    }
    let (partitions, moves) = (partitions(facts), moves(facts));
    let moved =
        |n: u64| partitions.get(&n).and_then(|it| moves.get(it)).map_or(&[][..], Vec::as_slice);
    let finished: BTreeSet<u64> = of_event.values().copied().collect();
    for ((n, stage), prices) in open {
        let left = prices.len().saturating_sub(unsettled.get(&(n, stage)).copied().unwrap_or(0));
        figures.uncharged += left;
        let example = || format!("event {n} {stage}");
        let excused = if left == 0 { 0 } else { may_lack_intent(n, stage, moved(n), facts) };
        if left > 0 && terms.strict {
            found.add("C7", "calls without an intent", example());
        } else if left > excused && facts.deaths.is_empty() {
            found.add("C7", "calls that no cost event tells of", example());
        } else if left > excused {
            found.add("C7", "calls without an intent though their instance lived", example());
        }
        let total = facts.calls.iter().filter(|c| (c.n, c.stage.as_str()) == (n, stage));
        if left > 0 && finished.contains(&n) && total.filter(|call| call.delivered).count() == left
        {
            found.add("C7", "results that cost nothing", example());
        }
    }
}

/// Answered calls of that stage that began so shortly before their instance died, or their partition was given away, that
/// their intents need not have reached the journal.
fn may_lack_intent(n: u64, stage: &str, moved: &[i64], facts: &Facts) -> usize {
    let near = |call: &&Call| {
        let begun = call.start - SLACK..call.start + LONGEST_WAY;
        let mut deaths = facts.deaths.iter().filter(|death| death.instance == call.instance);
        deaths.any(|death| begun.contains(&death.at)) || moved.iter().any(|at| begun.contains(at))
    };
    let of_stage = |call: &&Call| call.delivered && (call.n, call.stage.as_str()) == (n, stage);
    facts.calls.iter().filter(of_stage).filter(near).count()
}

/// Σ amounts of an event's cost events = the total of its result.
fn totals(facts: &Facts, found: &mut Findings) {
    let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
    for charge in facts.charges.iter().filter(|charge| !charge.adjustment) {
        *sums.entry(&charge.event).or_default() += charge.amount;
    }
    let mut told: BTreeMap<&str, i128> = BTreeMap::new();
    for answer in &facts.answers {
        *told.entry(&answer.event).or_default() += answer.amount;
    }
    for (event, told) in told {
        let sum = sums.get(event).copied().unwrap_or(0);
        if sum != told {
            found.add("C7", "totals that differ", format!("{event}: {told}, cost events {sum}"));
        }
    }
}
