//! Judges what was gathered from outside: the list of what was sent, what strangers' readers saw, the model server's own
//! ledger. Pure, and it shares no code with the engine, so that a defect there can't hide itself here.
//!
//! | check | what it says |
//! | --- | --- |
//! | C1 | every decodable event has exactly one result, nothing else has one |
//! | C2 | dead letters are the failed and the undecodable, once each, and say why |
//! | C3 | an answer is what the model says to that prompt |
//! | C4 | results of a key come in the order of its events |
//! | C5 | the committed base never moves back and ends at the end; metadata fits |
//! | C6 | a reader of committed records saw what stays, all of it, in order, and waited for no transaction over 30 s; one of all records beside it saw the same and whatever was aborted |
//! | C7 | money: cost events are the ledger's entries times the price, none twice, and add up to the results' totals |
//! | C8 | calls that were paid again were in flight when somebody died or their partition moved: no outcome of theirs stood in the journal |

use std::collections::{BTreeMap, BTreeSet};

mod calls;
mod money;

pub use calls::paid_again;

/// A partition and an offset in it.
pub type Place = (i32, i64);

/// What an event is meant to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A completed result.
    Good,
    /// A dead letter and nothing else.
    Undecodable,
    /// A failed result and a dead letter.
    Failing,
    /// The same, since it ends every process that runs it.
    Fatal,
    /// Nothing: it has no value.
    Empty,
}

impl Kind {
    /// Whether it yields no result.
    pub fn has_no_result(self) -> bool {
        matches!(self, Kind::Undecodable | Kind::Empty)
    }

    /// Whether it yields a dead letter.
    pub fn has_letter(self) -> bool {
        matches!(self, Kind::Undecodable | Kind::Failing | Kind::Fatal)
    }
}

/// An event as it was acknowledged to its sender.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its number, unique.
    pub n: u64,
    /// Its key.
    pub key: String,
    /// Where it lies.
    pub at: Place,
    /// What it is meant to come to.
    pub kind: Kind,
}

/// A result.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where it lies.
    pub at: Place,
    /// Its key.
    pub key: String,
    /// Where its event lies.
    pub origin: Place,
    /// Its event's id.
    pub event: String,
    /// Or failed.
    pub completed: bool,
    /// By stage.
    pub outputs: BTreeMap<String, String>,
    /// Total, in nano-units.
    pub amount: i128,
}

/// A cost event.
#[derive(Clone, Debug)]
pub struct Charge {
    /// Its id.
    pub id: String,
    /// Its event's id.
    pub event: String,
    /// Its stage.
    pub stage: String,
    /// In nano-units.
    pub amount: i128,
    /// Whether the outcome is not known, and the amount a ceiling.
    pub unsettled: bool,
    /// An `adjustment`: a delta to an earlier one.
    pub adjustment: bool,
}

/// An entry of the model server's ledger.
#[derive(Clone, Debug)]
pub struct Call {
    /// Number of the event in its prompt.
    pub n: u64,
    /// Stage in its prompt.
    pub stage: String,
    /// Which instance made it.
    pub instance: usize,
    /// Milliseconds since the epoch.
    pub start: i64,
    /// None while it is open.
    pub end: Option<i64>,
    /// HTTP status sent; none when the caller went away before.
    pub status: Option<u16>,
    /// Whether a whole and right answer was handed over.
    pub delivered: bool,
    /// Its tokens times the price, in nano-units.
    pub price: i128,
}

/// A record that a reader saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Where it lies.
    pub at: Place,
    /// When it was seen, in milliseconds since the epoch.
    pub seen: i64,
    /// Of its value.
    pub digest: u64,
}

/// What a group had committed at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Of the source topic.
    pub partition: i32,
    /// The committed offset.
    pub base: i64,
    /// Bytes of its metadata.
    pub metadata: usize,
}

/// An instance that died, or lost its partitions with calls open.
#[derive(Clone, Copy, Debug)]
pub struct Death {
    /// Which.
    pub instance: usize,
    /// When, in milliseconds since the epoch.
    pub at: i64,
}

/// An answer in the call journal.
#[derive(Clone, Debug)]
pub struct Journaled {
    /// Where its event lies.
    pub origin: Place,
    /// The stage.
    pub stage: String,
    /// When it was written, in milliseconds since the epoch.
    pub at: i64,
    /// Where it stands in its partition of the journal.
    pub offset: i64,
    /// Who wrote it.
    pub run: String,
}

/// Somebody was given a partition: what stood in the journal before, he knows.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The partition.
    pub partition: i32,
    /// When it was written, in milliseconds since the epoch.
    pub at: i64,
    /// Where it stands in the journal.
    pub offset: i64,
    /// Who wrote it.
    pub run: String,
}

/// All that was gathered.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Sent and acknowledged.
    pub sent: Vec<Sent>,
    /// Offsets one past the last record of each partition of the source.
    pub ends: BTreeMap<i32, i64>,
    /// Committed results, by place.
    pub answers: Vec<Answer>,
    /// What the model says to each event's prompts, by number and stage.
    pub expected: BTreeMap<(u64, String), String>,
    /// Origins of committed dead letters.
    pub letters: Vec<Place>,
    /// Origins of those that do not say why, or say what is secret.
    pub unexplained: Vec<Place>,
    /// Committed cost events.
    pub charges: Vec<Charge>,
    /// The ledger.
    pub calls: Vec<Call>,
    /// The journal.
    pub journal: Vec<Journaled>,
    /// Who had which partition, by the journal and in its order.
    pub openings: Vec<Opening>,
    /// What a reader of committed results saw while all this happened, in its order.
    pub live: Vec<Sighting>,
    /// What a reader of all records saw while all this happened, in its order; none where a log has no other records.
    pub dirty: Option<Vec<Sighting>>,
    /// What a reader of committed results finds afterwards.
    pub settled: Vec<Sighting>,
    /// Places and digests of the result topic's records, aborted ones included.
    pub raw: Vec<Sighting>,
    /// Progress over time, in order.
    pub marks: Vec<Mark>,
    /// The longest that committed readers were held up by an open transaction, in milliseconds.
    pub held_up: i64,
    /// Who died when.
    pub deaths: Vec<Death>,
}

/// What is asked beyond what always holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Finished calls are not paid again: repaid ones must have been in flight at a death.
    pub paid_once: bool,
    /// Every call has an intent, so every one is charged.
    pub strict: bool,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `C1` …
    pub check: &'static str,
    /// How often, and examples.
    pub what: String,
}

/// Figures for a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls that were made again after one that had been answered or was cut off.
    pub repaid: usize,
    /// Calls open at deaths, or when their partition was given to somebody else.
    pub in_flight: usize,
    /// Times that a partition was given to somebody who was not the first.
    pub moves: usize,
    /// Those of them that had calls made again.
    pub cut_short: usize,
    /// Delivered calls that no cost event tells of.
    pub uncharged: usize,
    /// Records of results that were written in vain.
    pub aborted: usize,
}

/// Examples shown of one kind of finding.
const SHOWN: usize = 3;
/// A reader of committed records waits no longer than this.
const LONGEST_HOLD: i64 = 30_000;
/// What an offset's metadata may have.
const MOST_METADATA: usize = 4_096;

/// Collects findings: one line for each kind, with a count and examples.
#[derive(Default)]
pub(crate) struct Findings(Vec<(&'static str, &'static str, usize, Vec<String>)>);

impl Findings {
    /// Something of that kind was found.
    pub(crate) fn add(&mut self, check: &'static str, kind: &'static str, example: String) {
        let known = self.0.iter_mut().find(|(c, k, ..)| (*c, *k) == (check, kind));
        match known {
            Some((_, _, count, examples)) => {
                *count += 1;
                if examples.len() < SHOWN {
                    examples.push(example);
                }
            }
            None => self.0.push((check, kind, 1, vec![example])),
        }
    }

    fn list(self) -> Vec<Finding> {
        let line = |(check, kind, count, examples): (_, &str, usize, Vec<String>)| Finding {
            check,
            what: format!("{count} {kind}: {}", examples.join(", ")),
        };
        self.0.into_iter().map(line).collect()
    }
}

/// Judges.
pub fn judge(facts: &Facts, terms: Terms) -> (Vec<Finding>, Figures) {
    let mut found = Findings::default();
    let mut figures = Figures::default();
    results(facts, &mut found);
    letters(facts, &mut found);
    contents(facts, &mut found);
    order(facts, &mut found);
    progress(facts, &mut found);
    isolation(facts, &mut found, &mut figures);
    money::judge(facts, terms, &mut found, &mut figures);
    calls::judge(facts, terms, &mut found, &mut figures);
    (found.list(), figures)
}

fn results(facts: &Facts, found: &mut Findings) {
    let sent: BTreeMap<Place, &Sent> = facts.sent.iter().map(|sent| (sent.at, sent)).collect();
    let mut times: BTreeMap<Place, usize> = BTreeMap::new();
    for answer in &facts.answers {
        *times.entry(answer.origin).or_default() += 1;
        if sent.get(&answer.origin).is_some_and(|sent| sent.key != answer.key) {
            found.add("C1", "under another key", say(answer.origin));
        }
        match sent.get(&answer.origin).map(|sent| sent.kind) {
            Some(Kind::Good) if answer.completed => {}
            Some(Kind::Failing | Kind::Fatal) if !answer.completed => {}
            Some(Kind::Good) => found.add("C1", "failed that had to complete", say(answer.origin)),
            Some(Kind::Failing | Kind::Fatal) => {
                found.add("C1", "completed that had to fail", say(answer.origin));
            }
            Some(Kind::Undecodable | Kind::Empty) => {
                found.add("C1", "results of what is no event", say(answer.origin));
            }
            None => found.add("C1", "results of events never sent", say(answer.origin)),
        }
    }
    for (origin, times) in times.iter().filter(|(_, times)| **times > 1) {
        found.add("C1", "doubled", format!("{} {times} times", say(*origin)));
    }
    let decodable = facts.sent.iter().filter(|sent| !sent.kind.has_no_result());
    for lost in decodable.filter(|sent| !times.contains_key(&sent.at)) {
        found.add("C1", "lost", format!("event {} at {}", lost.n, say(lost.at)));
    }
}

fn letters(facts: &Facts, found: &mut Findings) {
    let due = facts.sent.iter().filter(|sent| sent.kind.has_letter()).map(|sent| sent.at);
    let due: BTreeSet<Place> = due.collect();
    let mut there = BTreeSet::new();
    for letter in &facts.letters {
        if !due.contains(letter) {
            found.add("C2", "dead letters of good events", say(*letter));
        }
        if !there.insert(*letter) {
            found.add("C2", "dead letters doubled", say(*letter));
        }
    }
    for letter in &facts.unexplained {
        found.add("C2", "dead letters without a whole reason", say(*letter));
    }
    due.difference(&there).for_each(|at| found.add("C2", "dead letters missing", say(*at)));
}

fn contents(facts: &Facts, found: &mut Findings) {
    let numbers = numbers(facts);
    for answer in facts.answers.iter().filter(|answer| answer.completed) {
        let Some(n) = numbers.get(&answer.origin) else { continue };
        let of_event = (*n, String::new())..(*n + 1, String::new());
        for ((_, stage), said) in facts.expected.range(of_event) {
            if answer.outputs.get(stage) != Some(said) {
                let has = answer.outputs.get(stage).map_or("nothing", |text| text);
                found.add("C3", "wrong answers", format!("event {n} {stage}: `{has}`"));
            }
        }
    }
}

fn order(facts: &Facts, found: &mut Findings) {
    let mut answers: Vec<&Answer> = facts.answers.iter().collect();
    answers.sort_by_key(|answer| answer.at);
    let mut last: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    for answer in answers {
        let (partition, offset) = answer.origin;
        if let Some(before) = last.insert((&answer.key, partition), offset)
            && before >= offset
        {
            let example = format!("{}: {} after {before}", answer.key, say(answer.origin));
            found.add("C4", "out of order", example);
        }
    }
}

fn progress(facts: &Facts, found: &mut Findings) {
    let mut base: BTreeMap<i32, i64> = BTreeMap::new();
    for mark in &facts.marks {
        if mark.metadata > MOST_METADATA {
            found.add("C5", "metadata too large", format!("{} bytes", mark.metadata));
        }
        if let Some(before) = base.insert(mark.partition, mark.base)
            && before > mark.base
        {
            let example = format!("partition {}: {before} to {}", mark.partition, mark.base);
            found.add("C5", "bases moved back", example);
        }
    }
    for (partition, end) in &facts.ends {
        let base = base.get(partition).copied().unwrap_or(0);
        if base < *end {
            let example = format!("partition {partition}: {base} of {end}");
            found.add("C5", "partitions not finished", example);
        }
    }
}

fn isolation(facts: &Facts, found: &mut Findings, figures: &mut Figures) {
    let by_place = |list: &[Sighting]| -> BTreeMap<Place, u64> {
        list.iter().map(|one| (one.at, one.digest)).collect()
    };
    let (settled, live, raw) =
        (by_place(&facts.settled), by_place(&facts.live), by_place(&facts.raw));
    jumps(&facts.live, "offset jumps", found);
    if let Some(dirty) = &facts.dirty {
        jumps(dirty, "offset jumps of a reader of all", found);
        let dirty = by_place(dirty);
        for (at, digest) in &dirty {
            if raw.get(at) != Some(digest) {
                found.add("C6", "seen by a reader of all, and gone or changed", say(*at));
            }
        }
        for at in raw.keys().filter(|at| !dirty.contains_key(at)) {
            found.add("C6", "there and not shown to a reader of all", say(*at));
        }
    }
    for one in &facts.live {
        if settled.get(&one.at) != Some(&one.digest) {
            found.add("C6", "read and then gone", say(one.at));
        }
    }
    for at in settled.keys().filter(|at| !live.contains_key(at)) {
        found.add("C6", "committed and never seen", say(*at));
    }
    for at in settled.keys().filter(|at| !raw.contains_key(at)) {
        found.add("C6", "committed and not there", say(*at));
    }
    if facts.held_up > LONGEST_HOLD {
        let example = format!("{} ms", facts.held_up);
        found.add("C6", "times readers were held up too long", example);
    }
    figures.aborted = raw.keys().filter(|at| !settled.contains_key(at)).count();
}

/// Records that a reader saw after later ones of their partition, or again.
fn jumps(seen: &[Sighting], kind: &'static str, found: &mut Findings) {
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    for one in seen {
        let (partition, offset) = one.at;
        if let Some(before) = last.insert(partition, offset)
            && before >= offset
        {
            found.add("C6", kind, format!("{} after {before}", say(one.at)));
        }
    }
}

/// The partition of each event, by number.
pub fn partitions(facts: &Facts) -> BTreeMap<u64, i32> {
    facts.sent.iter().map(|sent| (sent.n, sent.at.0)).collect()
}

/// Numbers of events, by place.
pub(crate) fn numbers(facts: &Facts) -> BTreeMap<Place, u64> {
    facts.sent.iter().map(|sent| (sent.at, sent.n)).collect()
}

fn say((partition, offset): Place) -> String {
    format!("{partition}/{offset}")
}
