//! What must hold of every history: a function from what was seen to what is wrong with it. It knows nothing of how the
//! engine works.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vivremotion::event::money::Money;
use vivremotion::stream::Progress;

use super::line::Charge;

/// Partition and offset of a record of the source.
pub type Place = (i32, i64);

/// A record of the source.
#[derive(Clone, Debug)]
pub struct Input {
    pub place: Place,
    pub key: Option<String>,
    /// Can it be decoded? Must it fail, must it not, or may it do either?
    pub decodable: bool,
    pub fails: Option<bool>,
}

/// A result, in the order of its topic.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The event's record.
    pub origin: Place,
    pub failed: bool,
    pub amount: Money,
}

/// A cost event.
#[derive(Clone, Debug)]
pub struct Cost {
    pub id: String,
    pub origin: Place,
    pub amount: Money,
    /// False when nobody knows what became of the call.
    pub settled: bool,
    /// The attempt whose charge it corrects; it stands outside of its result's total.
    pub adjusts: Option<String>,
}

/// Everything that was seen under read_committed at one moment.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub inputs: Vec<Input>,
    pub answers: Vec<Answer>,
    /// Origins of dead letters.
    pub letters: Vec<Place>,
    pub costs: Vec<Cost>,
    /// What the provider charged, by attempt.
    pub ledger: BTreeMap<String, Charge>,
    /// When calls may have been cut off.
    pub cuts: Vec<Duration>,
    /// What the group committed, by partition.
    pub progress: BTreeMap<i32, Progress>,
    /// The same some time before.
    pub before: BTreeMap<i32, Progress>,
}

/// What is wrong at any moment.
pub fn check(seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    for (what, origins) in [
        ("result", seen.answers.iter().map(|answer| answer.origin).collect::<Vec<_>>()),
        ("dead letter", seen.letters.clone()),
    ] {
        let mut once = BTreeSet::new();
        wrong.extend(
            origins
                .iter()
                .filter(|origin| !once.insert(**origin))
                .map(|origin| format!("doubled: a second {what} of {origin:?}")),
        );
    }
    let answers: BTreeMap<Place, &Answer> =
        seen.answers.iter().map(|answer| (answer.origin, answer)).collect();
    let letters: BTreeSet<Place> = seen.letters.iter().copied().collect();
    for Input { place, decodable, fails, .. } in &seen.inputs {
        let answer = answers.get(place);
        let letter = letters.contains(place);
        let published = answer.is_some() || letter;
        let done = seen.progress.get(&place.0).is_some_and(|progress| progress.is_done(place.1));
        if done && !published {
            wrong.push(format!("lost: {place:?} is done and nothing of it is published"));
        }
        if published && !done {
            wrong.push(format!("torn: {place:?} is published and not done"));
        }
        if published {
            let failed = answer.is_none_or(|answer| answer.failed);
            if failed != letter || answer.is_some() != *decodable {
                wrong.push(format!("torn: {place:?} has {answer:?}, dead letter: {letter}"));
            }
            if *decodable && fails.is_some_and(|fails| fails != failed) {
                wrong.push(format!("wrong: {place:?} ended as {answer:?}"));
            }
        }
    }
    let known: BTreeSet<Place> = seen.inputs.iter().map(|input| input.place).collect();
    let strangers = answers.keys().chain(&letters).filter(|place| !known.contains(place));
    wrong.extend(strangers.map(|place| format!("invented: {place:?} is no input")));
    wrong.extend(order(seen));
    wrong.extend(money(seen, &answers));
    for (partition, progress) in &seen.progress {
        let text = progress.encode().len();
        if text > Progress::MAX_TEXT {
            wrong.push(format!("the progress of {partition} takes {text} bytes"));
        }
        let before = seen.before.get(partition).map_or(0, |before| before.base);
        if progress.base < before {
            wrong.push(format!("the base of {partition} moved back from {before}"));
        }
    }
    wrong
}

/// What is wrong when everything has come to rest.
pub fn check_at_rest(seen: &Seen) -> Vec<String> {
    let mut wrong = check(seen);
    let done = |place: &Place| seen.progress.get(&place.0).is_some_and(|p| p.is_done(place.1));
    let left = seen.inputs.iter().filter(|input| !done(&input.place));
    wrong.extend(left.map(|input| format!("stuck: {:?} is not done", input.place)));
    for (partition, progress) in &seen.progress {
        if progress.base != progress.high {
            wrong.push(format!("stuck: {partition} has a map above its base"));
        }
    }
    wrong
}

/// Results of a key stand in the order of its records. They may stand in several partitions of their topic only if the
/// keys do, so the order of reading is the order of each.
fn order(seen: &Seen) -> Vec<String> {
    let keys: BTreeMap<Place, &str> =
        seen.inputs.iter().filter_map(|input| Some((input.place, input.key.as_deref()?))).collect();
    let mut last: BTreeMap<&str, Place> = BTreeMap::new();
    let mut wrong = Vec::new();
    for answer in &seen.answers {
        let Some(key) = keys.get(&answer.origin) else { continue };
        if let Some(before) = last.insert(key, answer.origin)
            && before > answer.origin
        {
            wrong.push(format!("order: {:?} after {before:?} of one key", answer.origin));
        }
    }
    wrong
}

/// Cost events are told once, are true, and add up to what their result says.
fn money(seen: &Seen, answers: &BTreeMap<Place, &Answer>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut told = BTreeSet::new();
    let mut sums: BTreeMap<Place, Money> = BTreeMap::new();
    let charged: BTreeMap<&str, Money> =
        seen.costs.iter().map(|cost| (cost.id.as_str(), cost.amount)).collect();
    for Cost { id, origin, amount, settled, adjusts } in &seen.costs {
        if !told.insert(id) {
            wrong.push(format!("doubled: a second cost event of attempt {id}"));
        }
        if let Some(adjusts) = adjusts {
            let sum = charged.get(adjusts.as_str()).copied().unwrap_or(Money::ZERO) + *amount;
            let due = seen.ledger.get(adjusts).map(|charge| charge.amount);
            if *settled && due != Some(sum) {
                wrong.push(format!(
                    "money: attempt {adjusts} is adjusted to {sum}, it cost {due:?}"
                ));
            }
            continue;
        }
        if *settled && seen.ledger.get(id).map(|charge| charge.amount) != Some(*amount) {
            wrong.push(format!("money: attempt {id} is told as {amount}"));
        }
        *sums.entry(*origin).or_insert(Money::ZERO) += *amount;
    }
    for (origin, sum) in &sums {
        let said = answers.get(origin).map(|answer| answer.amount);
        if said != Some(*sum) {
            wrong.push(format!("money: {origin:?} cost {sum}, its result says {said:?}"));
        }
    }
    for (origin, answer) in answers {
        if !sums.contains_key(origin) && answer.amount != Money::ZERO {
            wrong.push(format!("money: {origin:?} says {}, no cost event does", answer.amount));
        }
    }
    wrong
}

/// How long after its end an answer may still be on its way into the journal.
const UNWRITTEN: Duration = Duration::from_secs(1);

/// Who was answered is asked again only if something cut in between the first question of that run and the answer's being
/// written down.
pub fn paid_once(seen: &Seen) -> Vec<String> {
    let mut answered: BTreeMap<u64, Vec<&Charge>> = BTreeMap::new();
    for charge in seen.ledger.values().filter(|charge| charge.answered) {
        answered.entry(charge.event).or_default().push(charge);
    }
    let mut wrong = Vec::new();
    for (event, mut charges) in answered {
        charges.sort_by_key(|charge| charge.from);
        for pair in charges.windows(2) {
            let first = |of: &Charge| {
                let run = seen.ledger.values().filter(|charge| charge.run == of.run);
                run.map(|charge| charge.from).min().unwrap_or(of.from)
            };
            // Cut off before its answer was written down; or the one who asked again was cut off before.
            let before = first(pair[0])..=pair[0].to + UNWRITTEN;
            let after = first(pair[1])..=pair[1].from;
            if !seen.cuts.iter().any(|cut| before.contains(cut) || after.contains(cut)) {
                wrong.push(format!("paid twice: event {event}, {:?} and {:?}", pair[0], pair[1]));
            }
        }
    }
    wrong
}
