//! Audits what a pipeline left behind: given its inputs, results, dead letters, cost events and journal as decoded facts,
//! says what does not fit together. Pure: values in, findings out.
//!
//! **What it takes.** [`Audit::new`] with the [`Terms`]; then every input of the period; then the rest in any order, each
//! topic partition by partition in the order it is held; at last [`Audit::finish`] with what is committed by then. An event
//! that was done before anything was read must have everything it is due; one that is not done at the end must have left
//! nothing; one between may have either. So it is right about a pipeline that runs meanwhile.
//!
//! **What it holds.** A [`case`](self) of each event and of each attempt, about 200 and 100 bytes, bounded by
//! [`Terms::most_events`] and eight times as many attempts; findings up to [`KEPT`] of each check.
//!
//! **What it does not know.** What a model should have answered (unless it is told, [`Input::answer`]); whether a completed
//! event may be without a result, where the sink's condition asks for the outputs of stages ([`Due::Perhaps`]).
//!
//! [`expect`] says what an input is due, by the corridor's own doors; [`records`] makes facts of records.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use self::case::{Again, Bench, Case, Left};
use self::finding::Findings;
use self::money::Attempts;
use self::order::Order;
use self::terms::Horizon;
use crate::event::identity::Origin;
use crate::event::ids::EventId;
use crate::event::money::Money;
use crate::stream::{Extent, Progress};

mod calls;
mod case;
pub mod expect;
mod fact;
mod finding;
mod money;
mod order;
pub mod records;
mod terms;

#[cfg(test)]
mod tests;

pub use calls::{Answered, Call, CallWhat};
pub use fact::{Answer, Charge, Due, Entry, Fact, Input, Letter, Published, Spot, Status};
pub use finding::{Check, Finding, KEPT, Verdict};
pub use terms::{Began, Gone, MOST_EVENTS, SinkTerms, Terms};

/// Attempts of calls per event that are held.
const ATTEMPTS: usize = 8;

/// There is more than the terms allow to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch {
    /// Events that may be held.
    pub most_events: usize,
}

impl std::fmt::Display for TooMuch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "more than {} events: audit a shorter period", self.most_events)
    }
}

impl std::error::Error for TooMuch {}

/// An audit under way.
#[derive(Debug)]
pub struct Audit {
    terms: Terms,
    cases: HashMap<EventId, Case>,
    again: HashMap<EventId, Vec<Again>>,
    expected: HashMap<EventId, u64>,
    published: HashMap<Uuid, u16>,
    attempts: Attempts,
    calls: calls::Calls,
    journal: bool,
    order: Order,
    horizon: Horizon,
    /// The first event of each partition that left anything.
    first: BTreeMap<i32, i64>,
    /// About events that were not read.
    outside: u64,
    /// The first record of each partition that the journal tells of.
    journaled: BTreeMap<i32, i64>,
    /// Partitions whose first record of the group's start has come.
    begun: BTreeSet<i32>,
    grew: bool,
    findings: Findings,
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Events.
    pub events: u64,
    /// Events that were done when the audit began.
    pub done: u64,
    /// Attempts of calls.
    pub attempts: u64,
    /// Outputs of events that were not among the inputs that were read.
    pub outside: u64,
    /// Records that are not done.
    pub lag: u64,
    /// One for each check, in order.
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// Findings of all checks.
    pub fn found(&self) -> u64 {
        self.verdicts.iter().map(|verdict| verdict.found).sum()
    }
}

impl Audit {
    /// An audit of nothing yet.
    pub fn new(terms: Terms) -> Self {
        Audit {
            terms,
            cases: HashMap::new(),
            again: HashMap::new(),
            expected: HashMap::new(),
            published: HashMap::new(),
            attempts: Attempts::default(),
            calls: calls::Calls::default(),
            journal: false,
            order: Order::default(),
            horizon: Horizon::default(),
            first: BTreeMap::new(),
            outside: 0,
            journaled: BTreeMap::new(),
            begun: BTreeSet::new(),
            grew: false,
            findings: Findings::default(),
        }
    }

    /// The whole of it, for whoever has all facts in one sequence.
    pub fn of(
        terms: Terms,
        facts: impl IntoIterator<Item = Fact>,
        after: BTreeMap<i32, Progress>,
    ) -> Result<Report, TooMuch> {
        let mut audit = Audit::new(terms);
        for fact in facts {
            audit.take(fact)?;
        }
        Ok(audit.finish(after, &[]))
    }

    /// Outputs of that time (milliseconds since the epoch) and before may have been dropped.
    pub fn gone(&mut self, what: Gone, until: i64) {
        self.horizon.set(what, until);
    }

    /// There is a journal: from here on it is compared. Its records follow.
    pub fn with_journal(&mut self) {
        self.journal = true;
    }

    /// There is a ledger of the provider: from here on it is compared. Its entries and the cost events follow.
    pub fn with_ledger(&mut self) {
        self.attempts.with_ledger();
    }

    /// The first offset of a partition that is read: what stands before it is not judged.
    pub fn reads_from(&mut self, partition: i32, offset: i64) {
        if let Some(offsets) = self.terms.offsets.get_mut(&partition) {
            offsets.0 = offset;
        }
    }

    /// What it is about.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// So many things were looked at.
    pub fn judged(&mut self, check: Check, things: u64) {
        self.findings.judged(check, things);
    }

    /// Records came to the source that are not read.
    pub fn grew(&mut self) {
        self.grew = true;
    }

    /// Takes any fact.
    pub fn take(&mut self, fact: Fact) -> Result<(), TooMuch> {
        match fact {
            Fact::Input(input) => self.input(input)?,
            Fact::Answer(answer) => self.answer(answer),
            Fact::Letter(letter) => self.letter(letter),
            Fact::Charge(charge) => self.charge(charge)?,
            Fact::Published(published) => self.published(published),
            Fact::Call(call) => self.call(&call)?,
            Fact::Entry(entry) => self.attempts.entry(&entry),
        }
        Ok(())
    }

    /// Takes a record of the source.
    pub fn input(&mut self, input: Input) -> Result<(), TooMuch> {
        let Input { spot, event, replay, timestamp, due, bytes, answer } = input;
        if let Began::Time(time) = self.terms.began
            && !self.begun.contains(&spot.partition)
        {
            if timestamp < time {
                if let Some(offsets) = self.terms.offsets.get_mut(&spot.partition) {
                    offsets.0 = offsets.0.max(spot.offset + 1);
                }
                return Ok(());
            }
            self.begun.insert(spot.partition);
        }
        // A replay that another group asked for.
        if replay && due == Due::Nothing {
            return Ok(());
        }
        if self.cases.len() >= self.terms.most_events {
            return Err(TooMuch { most_events: self.terms.most_events });
        }
        let case = self.cases.entry(event).or_insert(Case {
            partition: spot.partition,
            offset: spot.offset,
            timestamp,
            due: None,
            bytes,
            first: Left::default(),
            again: Left::default(),
            balance: Money::ZERO,
            unpriced: 0,
            totals: true,
            published: 0,
            charged: false,
        });
        if replay {
            let again = Again { partition: spot.partition, offset: spot.offset, due };
            self.again.entry(event).or_default().push(again);
        } else {
            case.due = Some(due);
            (case.partition, case.offset, case.timestamp) =
                (spot.partition, spot.offset, timestamp);
        }
        if let Some(answer) = answer {
            self.expected.insert(event, answer);
        }
        Ok(())
    }

    /// Takes a result.
    pub fn answer(&mut self, answer: Answer) {
        let Answer { spot, event, origin, replay, status, key, total, content, wrong } = answer;
        self.findings.judged(Check::C3, 1);
        if let Some(wrong) = wrong {
            let spot = Some(spot.clone());
            self.findings.add(Check::C3, "does-not-fit", spot, Some(event), wrong);
        }
        if self.expected.get(&event).is_some_and(|expected| *expected != content) {
            let message = "its outputs are not those that were expected";
            self.findings.add(Check::C3, "content", Some(spot.clone()), Some(event), message);
        }
        let Some(case) = self.found(Check::C1, event, &origin, &spot) else { return };
        match total {
            Some((amount, unpriced)) => {
                case.balance = case.balance - amount;
                case.unpriced -= unpriced;
            }
            None => case.totals = false,
        }
        if replay {
            case.again.answer(status);
            return;
        }
        case.first.answer(status);
        if case.first.answers > 1 {
            let message = "its event has a result already";
            self.findings.add(Check::C1, "result-twice", Some(spot), Some(event), message);
        } else if self.terms.ordered {
            self.order.next(key, &origin, &spot, event, &mut self.findings);
        }
    }

    /// Takes a dead letter.
    pub fn letter(&mut self, letter: Letter) {
        let replay = letter.replay();
        let Letter { spot, event, origin, key, bytes, .. } = letter;
        self.findings.judged(Check::C3, 1);
        let Some(case) = self.found(Check::C2, event, &origin, &spot) else { return };
        let untouched = bytes.is_none_or(|bytes| case.bytes == bytes);
        let twice = if replay {
            case.again.letter();
            false
        } else {
            case.first.letter();
            case.first.letters > 1
        };
        if !untouched {
            let message = "its key or value is not that of the record that failed";
            let spot = Some(spot.clone());
            self.findings.add(Check::C3, "not-untouched", spot, Some(event), message);
        }
        if twice {
            let message = "its event has a dead letter already";
            self.findings.add(Check::C2, "dead-letter-twice", Some(spot), Some(event), message);
        } else if self.terms.ordered && !replay {
            self.order.next(key, &origin, &spot, event, &mut self.findings);
        }
    }

    /// Takes a cost event.
    pub fn charge(&mut self, charge: Charge) -> Result<(), TooMuch> {
        self.room_for_attempts()?;
        let Charge { spot, event, origin, adjusts, amount, .. } = &charge;
        let counted = adjusts.is_none();
        let Some(case) = self.found(Check::C7, *event, origin, spot) else { return Ok(()) };
        // What is told twice makes the sum wrong too, and is found twice.
        if counted {
            case.charged = true;
            match amount {
                Some(amount) => case.balance += *amount,
                None => case.unpriced += 1,
            }
        }
        self.attempts.charge(&charge, &mut self.findings);
        Ok(())
    }

    /// Takes a record that a stage published.
    pub fn published(&mut self, published: Published) {
        let Published { spot, event, origin, id } = published;
        let replays = self.again.get(&event).map_or(0, Vec::len);
        let Some(case) = self.found(Check::C1, event, &origin, &spot) else { return };
        case.published = case.published.saturating_add(1);
        self.findings.judged(Check::C1, 1);
        let times = self.published.entry(id).or_insert(0);
        *times = times.saturating_add(1);
        if usize::from(*times) > 1 + replays {
            let message = format!("{id} was published already");
            self.findings.add(Check::C1, "published-twice", Some(spot), Some(event), message);
        }
    }

    /// A process was given a partition, by that offset of the journal; `at` in milliseconds since the epoch.
    pub fn opened(&mut self, partition: i32, offset: i64, run: u64, at: i64) {
        self.calls.opened(partition, offset, run, at);
    }

    /// Takes a record of the journal.
    pub fn call(&mut self, call: &Call) -> Result<(), TooMuch> {
        self.room_for_attempts()?;
        let (partition, input) = call.input;
        let first = self.journaled.entry(partition).or_insert(input);
        *first = input.min(*first);
        self.calls.take(call, &mut self.findings);
        self.attempts.call(call, self.calls.is_late(call));
        Ok(())
    }

    /// Takes a line of the provider's ledger.
    pub fn entry(&mut self, entry: &Entry) {
        self.attempts.entry(entry);
    }

    /// What is wrong with a record of which nothing else can be said.
    pub fn unreadable(&mut self, check: Check, spot: Spot, message: impl Into<String>) {
        self.findings.add(check, "unreadable", Some(spot), None, message);
    }

    /// A transaction that was open all the while, over a partition.
    pub fn open_transaction(&mut self, spot: Spot, message: impl Into<String>) {
        self.findings.add(Check::C6, "open-transaction", Some(spot), None, message);
    }

    /// Something that is good to know.
    pub fn note(&mut self, check: Check, note: impl Into<String>) {
        self.findings.note(check, note);
    }

    fn room_for_attempts(&self) -> Result<(), TooMuch> {
        let Terms { most_events, .. } = self.terms;
        match self.attempts.len() < most_events.saturating_mul(ATTEMPTS) {
            true => Ok(()),
            false => Err(TooMuch { most_events }),
        }
    }

    /// The case of an output. One whose input should be there and is not is a finding.
    fn found(
        &mut self,
        check: Check,
        event: EventId,
        origin: &Origin,
        spot: &Spot,
    ) -> Option<&mut Case> {
        let Origin { cluster, topic, partition, offset, timestamp } = origin;
        if *topic == *self.terms.source {
            let first = self.first.entry(*partition).or_insert(*offset);
            *first = (*offset).min(*first);
        }
        if EventId::new(cluster, topic, *partition, *offset, *timestamp) != event {
            let message = "its origin does not hash to its event id";
            self.findings.add(Check::C3, "wrong-id", Some(spot.clone()), Some(event), message);
        }
        let case = self.cases.get_mut(&event);
        if case.is_none() {
            if self.terms.covers(origin) && !self.terms.compacted {
                let message = format!("there is no input {topic}/{partition}@{offset}");
                self.findings.add(check, "no-input", Some(spot.clone()), Some(event), message);
            } else {
                self.outside += 1;
            }
        }
        case
    }

    /// Judges. `after` is what the group had committed when everything had been read, `extents` what the source held
    /// then.
    pub fn finish(self, after: BTreeMap<i32, Progress>, extents: &[Extent]) -> Report {
        let Audit {
            terms,
            cases,
            again,
            attempts,
            calls,
            horizon,
            first,
            outside,
            mut findings,
            ..
        } = self;
        let began = |partition: i32| match terms.began {
            Began::Unknown => first.get(&partition).copied(),
            Began::Earliest | Began::Time(_) => Some(i64::MIN),
        };
        let bench = Bench {
            terms: &terms,
            horizon: &horizon,
            after: &after,
            began: &began,
            grew: self.grew,
        };
        let replays = |event: &EventId| again.get(event).map_or(&[][..], Vec::as_slice);
        let (mut done, mut lag) = (0, 0);
        for (event, case) in &cases {
            done += u64::from(bench.due(case.partition, case.offset));
            case.judge(*event, replays(event), &bench, &mut findings);
            let own = case.due.map(|_| (case.partition, case.offset));
            let all = replays(event).iter().map(|again| (again.partition, again.offset)).chain(own);
            for (partition, offset) in all.filter(|(p, o)| !bench.may(*p, *o)) {
                lag += 1;
                if terms.finished {
                    let spot = Spot { partition, offset, ..case.spot(&terms) };
                    let message = "it is not done";
                    findings.add(Check::C5, "not-done-yet", Some(spot), Some(*event), message);
                }
            }
        }
        progress(&terms, &after, extents, &mut findings);
        let closed = |event: EventId| {
            let case = cases.get(&event)?;
            let kept = horizon.keeps(Gone::Charges, case.timestamp);
            (kept && case.is_closed(&bench, replays(&event))).then(|| case.spot(&terms))
        };
        let journaled = |event: EventId| {
            cases.get(&event).is_some_and(|case| {
                // An engine of before kept none.
                let first = self.journaled.get(&case.partition);
                let told = first.is_some_and(|first| case.offset >= *first);
                told && horizon.keeps(Gone::Calls, case.timestamp)
            })
        };
        let journaled: Option<&dyn Fn(EventId) -> bool> = match self.journal {
            true => Some(&journaled),
            false => None,
        };
        attempts.judge(&closed, journaled, terms.strict_intents, &mut findings);
        if calls.within > 0 {
            let message = format!(
                "{} calls were paid twice: in flight when a process died or lost the partition",
                calls.within
            );
            findings.note(Check::C8, message);
        }
        if terms.began == Began::Unknown {
            let message = "where the group began is not known: inputs before the first that left anything are not judged";
            findings.note(Check::C1, message);
        }
        if !self.journal {
            findings.note(Check::C8, "not judged: there is no journal");
        }
        Report {
            events: cases.len() as u64,
            done,
            attempts: attempts.len() as u64,
            outside,
            lag,
            verdicts: findings.verdicts(),
        }
    }
}

/// C5: what is committed, before and after everything was read.
fn progress(
    terms: &Terms,
    after: &BTreeMap<i32, Progress>,
    extents: &[Extent],
    findings: &mut Findings,
) {
    let spot = |partition: i32, offset: i64| {
        Some(Spot { topic: std::sync::Arc::clone(&terms.source), partition, offset })
    };
    for (partition, before) in &terms.progress {
        findings.judged(Check::C5, 1);
        let now = after.get(partition);
        if now.is_none_or(|now| now.base < before.base) {
            let message = format!(
                "the group had committed {}, and now {}",
                before.base,
                now.map_or("nothing".to_owned(), |now| now.base.to_string())
            );
            let at = spot(*partition, before.base);
            findings.add(Check::C5, "went-back", at, None, message);
        }
    }
    for extent in extents {
        let partition = extent.at.partition;
        let Some(base) = after.get(&partition).map(|progress| progress.base) else { continue };
        if base > extent.high {
            let message = format!(
                "the group has committed {base}, and the topic ends at {}: it was made anew",
                extent.high
            );
            findings.add(Check::C5, "beyond-end", spot(partition, base), None, message);
        }
    }
}
