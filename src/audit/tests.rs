use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::event::identity::Origin;
use crate::event::money::Money;
use crate::stream::{Extent, TopicPartition};

mod money;

const EVENTS: i64 = 12;
/// Of the first record, milliseconds since the epoch.
const START: i64 = 1_000_000;

/// A history that is as it must be: twelve events over three keys, every fourth failed, one that can't be decoded, one
/// that does not pass the filter, each call journaled.
struct History {
    terms: Terms,
    facts: Vec<Fact>,
    after: BTreeMap<i32, Progress>,
}

fn origin(offset: i64) -> Origin {
    let (cluster, topic) = ("c".to_owned(), "in".to_owned());
    Origin { cluster, topic, partition: 0, offset, timestamp: START + offset }
}

fn event(offset: i64) -> EventId {
    EventId::new("c", "in", 0, offset, START + offset)
}

fn spot(topic: &str, offset: i64) -> Spot {
    Spot { topic: topic.into(), partition: 0, offset }
}

fn input(offset: i64, due: Due) -> Input {
    Input {
        spot: spot("in", offset),
        event: event(offset),
        replay: false,
        timestamp: START + offset,
        due,
        bytes: offset.unsigned_abs(),
        answer: None,
    }
}

fn answer(of: i64, at: i64, status: Status) -> Answer {
    Answer {
        spot: spot("out", at),
        event: event(of),
        origin: origin(of),
        replay: false,
        status,
        key: Some(of.unsigned_abs() % 3),
        total: Some((Money(100 + i128::from(of)), 0)),
        content: of.unsigned_abs(),
        wrong: None,
    }
}

fn letter(of: i64, at: i64) -> Letter {
    Letter {
        spot: spot("dlq", at),
        event: event(of),
        origin: origin(of),
        input: (0, of),
        key: Some(of.unsigned_abs() % 3),
        bytes: Some(of.unsigned_abs()),
    }
}

fn attempt(of: i64) -> Uuid {
    Uuid::from_u128(0xA000 + of.unsigned_abs() as u128)
}

fn charge(of: i64, at: i64) -> Charge {
    Charge {
        spot: spot("costs", at),
        event: event(of),
        origin: origin(of),
        attempt: attempt(of),
        adjusts: None,
        amount: Some(Money(100 + i128::from(of))),
        unsettled: false,
        call: format!("{}/answer", event(of)),
        tokens: Some((10, 5)),
    }
}

fn published(of: i64, at: i64) -> Published {
    let id = Uuid::from_u128(0xB000 + of.unsigned_abs() as u128);
    Published { spot: spot("more", at), event: event(of), origin: origin(of), id }
}

fn intent(of: i64, at: i64, run: u64, attempt: Uuid) -> Call {
    let what = CallWhat::Intent { attempt, started_at: 0 };
    Call { spot: spot("journal", at), event: event(of), input: (0, of), run, what }
}

fn outcome(of: i64, at: i64, run: u64, attempt: Uuid) -> Call {
    let answer = Some(Answered { place: 1, digest: of.unsigned_abs() });
    let amount = Some(Money(100 + i128::from(of)));
    let what = CallWhat::Outcome { attempt: Some(attempt), amount, started_at: 0, answer };
    Call { spot: spot("journal", at), event: event(of), input: (0, of), run, what }
}

fn due(offset: i64) -> Due {
    match offset {
        5 => Due::Letter,
        6 => Due::Nothing,
        _ => Due::Result,
    }
}

fn done(base: i64) -> BTreeMap<i32, Progress> {
    BTreeMap::from([(0, Progress::starting_at(base))])
}

impl History {
    fn clean() -> History {
        let mut facts: Vec<Fact> = (0..EVENTS).map(|n| Fact::Input(input(n, due(n)))).collect();
        for n in 0..EVENTS {
            if due(n) == Due::Letter {
                facts.push(Fact::Letter(letter(n, n)));
            }
            if due(n) != Due::Result {
                continue;
            }
            let failed = n % 4 == 3;
            let status = if failed { Status::Failed } else { Status::Completed };
            facts.push(Fact::Call(intent(n, 2 * n, 1, attempt(n))));
            facts.push(Fact::Call(outcome(n, 2 * n + 1, 1, attempt(n))));
            facts.push(Fact::Charge(charge(n, n)));
            facts.push(Fact::Answer(answer(n, n, status)));
            match failed {
                true => facts.push(Fact::Letter(letter(n, n))),
                false => facts.push(Fact::Published(published(n, n))),
            }
        }
        let terms =
            Terms::whole("p", "g.p", "in", BTreeMap::from([(0, (0, EVENTS))]), done(EVENTS));
        History { terms, facts, after: done(EVENTS) }
    }

    fn add(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    fn without(mut self, gone: impl Fn(&Fact) -> bool) -> Self {
        self.facts.retain(|fact| !gone(fact));
        self
    }

    fn with(mut self, change: impl FnMut(&mut Fact)) -> Self {
        self.facts.iter_mut().for_each(change);
        self
    }

    fn audit(self, prepare: impl FnOnce(&mut Audit)) -> Report {
        let mut audit = Audit::new(self.terms);
        audit.with_journal();
        prepare(&mut audit);
        for fact in self.facts {
            audit.take(fact).unwrap();
        }
        let at = TopicPartition { topic: "in".into(), partition: 0 };
        audit.finish(self.after, &[Extent { at, low: 0, high: EVENTS }])
    }

    /// Check and code of each finding.
    fn found(self) -> Vec<(Check, &'static str)> {
        codes(&self.audit(|_| {}))
    }
}

fn codes(report: &Report) -> Vec<(Check, &'static str)> {
    let all = report.verdicts.iter().flat_map(|verdict| &verdict.findings);
    all.map(|finding| (finding.check, finding.code)).collect()
}

fn is_answer(fact: &Fact, of: i64) -> bool {
    matches!(fact, Fact::Answer(answer) if answer.event == event(of))
}

fn is_letter(fact: &Fact, of: i64) -> bool {
    matches!(fact, Fact::Letter(letter) if letter.event == event(of))
}

fn is_charge(fact: &Fact, of: i64) -> bool {
    matches!(fact, Fact::Charge(charge) if charge.event == event(of))
}

#[test]
fn a_history_as_it_must_be_has_no_findings() {
    let report = History::clean().audit(|_| {});
    assert_eq!(codes(&report), []);
    assert_eq!((report.events, report.done, report.lag), (12, 12, 0));
    let judged: Vec<u64> = report.verdicts.iter().map(|verdict| verdict.judged).collect();
    assert!(judged.iter().enumerate().all(|(check, n)| *n > 0 || check == 5), "{judged:?}");
}

#[test]
fn c1_finds_a_result_that_is_missing_doubled_undue_or_of_nothing() {
    let lost = History::clean().without(|fact| is_answer(fact, 4));
    let report = lost.audit(|_| {});
    assert_eq!(codes(&report), [(Check::C1, "no-result")]);
    let finding = &report.verdicts[0].findings[0];
    assert_eq!((finding.spot.clone(), finding.event), (Some(spot("in", 4)), Some(event(4))));

    let twice = History::clean().add(Fact::Answer(answer(4, 50, Status::Completed)));
    assert!(twice.found().contains(&(Check::C1, "result-twice")));

    let undue = Answer { key: None, ..answer(6, 50, Status::Completed) };
    let undue = History::clean().add(Fact::Answer(undue));
    assert_eq!(undue.found(), [(Check::C1, "undue-result")]);

    let mut history = History::clean();
    history.facts.retain(|fact| !matches!(fact, Fact::Input(input) if input.event == event(4)));
    let found = history.found();
    assert!(found.contains(&(Check::C1, "no-input")), "{found:?}");
}

#[test]
fn c1_finds_what_was_published_twice_or_by_an_event_that_failed() {
    let twice = History::clean().add(Fact::Published(published(4, 50)));
    assert_eq!(twice.found(), [(Check::C1, "published-twice")]);
    let failed = History::clean().add(Fact::Published(published(3, 50)));
    assert_eq!(failed.found(), [(Check::C1, "published-by-failed")]);
}

#[test]
fn c2_finds_a_dead_letter_that_is_missing_doubled_or_undue() {
    for of in [3, 5] {
        let missing = History::clean().without(|fact| is_letter(fact, of));
        assert_eq!(missing.found(), [(Check::C2, "no-dead-letter")], "{of}");
    }
    let twice = History::clean().add(Fact::Letter(letter(3, 50)));
    assert_eq!(twice.found(), [(Check::C2, "dead-letter-twice")]);
    let undue = History::clean().add(Fact::Letter(letter(4, 50)));
    assert!(undue.found().contains(&(Check::C2, "undue-dead-letter")));
    let filtered = History::clean().add(Fact::Letter(letter(6, 50)));
    assert_eq!(filtered.found()[0], (Check::C2, "undue-dead-letter"));
}

#[test]
fn c3_finds_outputs_that_are_not_those_of_their_inputs() {
    let other = History::clean().with(|fact| {
        if let Fact::Letter(letter) = fact {
            letter.bytes = letter.bytes.map(|bytes| bytes + u64::from(letter.event == event(3)));
        }
    });
    assert_eq!(other.found(), [(Check::C3, "not-untouched")]);
    // One that its topic did not take whole is not compared.
    let less = History::clean().with(|fact| {
        if let Fact::Letter(letter) = fact {
            letter.bytes = None;
        }
    });
    assert_eq!(less.found(), []);
    let expected = History::clean().with(|fact| {
        if let Fact::Input(input) = fact {
            input.answer = Some(input.bytes + u64::from(input.event == event(4)));
        }
    });
    assert_eq!(expected.found(), [(Check::C3, "content")]);
    let unfit = History::clean().with(|fact| {
        if let Fact::Answer(answer) = fact {
            answer.wrong = (answer.event == event(4)).then(|| "its id is another's".to_owned());
        }
    });
    assert_eq!(unfit.found(), [(Check::C3, "does-not-fit")]);
    let renamed = History::clean().with(|fact| {
        if let Fact::Charge(charge) = fact {
            charge.origin.offset += i64::from(charge.event == event(4));
        }
    });
    assert_eq!(renamed.found(), [(Check::C3, "wrong-id")]);
}

#[test]
fn c4_finds_answers_and_dead_letters_out_of_the_order_of_their_key() {
    let mut history = History::clean();
    let place = |of| history.facts.iter().position(|fact| is_answer(fact, of)).unwrap();
    let (first, second) = (place(1), place(4));
    history.facts.swap(first, second);
    assert_eq!(history.found(), [(Check::C4, "out-of-order")]);

    // Of different keys, any order will do; and without order, any at all.
    let mut history = History::clean();
    let place = |of| history.facts.iter().position(|fact| is_answer(fact, of)).unwrap();
    let (first, second) = (place(1), place(2));
    history.facts.swap(first, second);
    assert_eq!(history.found(), []);
    let mut history = History::clean();
    history.terms.ordered = false;
    history.facts.sort_by_key(|fact| match fact {
        Fact::Input(_) => 0,
        Fact::Answer(answer) => -answer.origin.offset + 100,
        _ => 1,
    });
    assert_eq!(history.found(), []);
}

#[test]
fn c5_finds_progress_that_went_back_or_is_beyond_the_end_or_is_late() {
    let mut history = History::clean();
    history.after = BTreeMap::from([(0, Progress { base: 10, high: 12, ..Progress::default() })]);
    assert_eq!(history.found(), [(Check::C5, "went-back")]);
    let mut history = History::clean();
    history.after = done(EVENTS + 1);
    assert_eq!(history.found(), [(Check::C5, "beyond-end")]);
    let late = |finished| {
        let mut history = History::clean();
        history.terms.finished = finished;
        history.terms.progress = done(EVENTS - 2);
        history.after = done(EVENTS - 1);
        let last = |fact: &Fact| is_answer(fact, 11) || is_letter(fact, 11) || is_charge(fact, 11);
        history
            .without(last)
            .without(|fact| matches!(fact, Fact::Call(call) if call.event == event(11)))
    };
    assert_eq!(late(false).found(), []);
    assert_eq!(late(true).found(), [(Check::C5, "not-done-yet")]);
}

#[test]
fn c6_finds_what_is_visible_of_an_event_that_is_not_committed_as_done() {
    let mut history = History::clean();
    let hole = Progress { base: 4, high: 12, incomplete: vec![4], ..Progress::default() };
    history.terms.progress = BTreeMap::from([(0, hole.clone())]);
    history.after = BTreeMap::from([(0, hole)]);
    assert_eq!(history.found(), [(Check::C6, "not-done")]);
    let open = |audit: &mut Audit| audit.open_transaction(spot("out", 9), "it is open");
    assert_eq!(codes(&History::clean().audit(open)), [(Check::C6, "open-transaction")]);
}

#[test]
fn an_event_that_is_done_meanwhile_may_have_all_or_nothing() {
    let meanwhile = || {
        let mut history = History::clean();
        history.terms.progress = done(EVENTS - 1);
        history
    };
    assert_eq!(meanwhile().found(), []);
    let of_last = |fact: &Fact| {
        is_answer(fact, 11)
            || is_letter(fact, 11)
            || is_charge(fact, 11)
            || matches!(fact, Fact::Call(call) if call.event == event(11))
    };
    assert_eq!(meanwhile().without(of_last).found(), []);
}

#[test]
fn c8_finds_calls_that_were_paid_again_although_they_were_known() {
    let other = Uuid::from_u128(0xC000);
    let paid = |run, intent_at, outcome_at| {
        let again = Charge { attempt: other, ..charge(4, 50) };
        History::clean()
            .with(|fact| {
                if let Fact::Answer(answer) = fact
                    && answer.event == event(4)
                {
                    answer.total = Some((Money(208), 0));
                }
            })
            .add(Fact::Charge(again))
            .add(Fact::Call(intent(4, intent_at, run, other)))
            .add(Fact::Call(outcome(4, outcome_at, run, other)))
    };
    // The first outcome stands at 9.
    assert_eq!(paid(1, 50, 51).found(), [(Check::C8, "paid-twice")]);
    assert_eq!(paid(2, 50, 51).found(), [(Check::C8, "paid-though-known")]);
    // The same record once more is no call.
    let again = History::clean().add(Fact::Call(outcome(4, 60, 1, attempt(4))));
    assert_eq!(again.found(), []);
}

#[test]
fn c8_allows_for_what_was_in_flight_when_another_process_took_over() {
    let other = Uuid::from_u128(0xC000);
    let mut history = History::clean().with(|fact| match fact {
        Fact::Answer(answer) if answer.event == event(4) => {
            answer.total = Some((Money(208), 0));
        }
        // The first process' outcome came late: at 40, after the second had begun.
        Fact::Call(call)
            if call.event == event(4) && matches!(call.what, CallWhat::Outcome { .. }) =>
        {
            call.spot.offset = 40;
        }
        _ => {}
    });
    let late = history
        .facts
        .iter()
        .position(|fact| matches!(fact, Fact::Call(call) if call.spot.offset == 40));
    let late = history.facts.remove(late.unwrap());
    let history = history
        .add(Fact::Charge(Charge { attempt: other, ..charge(4, 50) }))
        .add(Fact::Call(intent(4, 30, 2, other)))
        .add(late)
        .add(Fact::Call(outcome(4, 41, 2, other)));
    let report = history.audit(|_| {});
    assert_eq!(codes(&report), []);
    assert!(report.verdicts[7].notes[0].starts_with("1 calls were paid twice"), "{report:?}");
}

/// A replay of the failed event 3, at offset 12 of the source, which completes.
fn replayed() -> History {
    let mut history = History::clean();
    let again = Input { spot: spot("in", 12), replay: true, ..input(3, Due::Result) };
    history.facts.insert(EVENTS as usize, Fact::Input(again));
    let end = done(EVENTS + 1);
    (history.terms.progress, history.after) = (end.clone(), end);
    history.terms.offsets = BTreeMap::from([(0, (0, EVENTS + 1))]);
    let free = Some((Money::ZERO, 0));
    history.add(Fact::Answer(Answer {
        replay: true,
        total: free,
        ..answer(3, 20, Status::Completed)
    }))
}

fn of_replay(history: History) -> Vec<(Check, &'static str)> {
    let mut audit = Audit::new(history.terms);
    audit.with_journal();
    history.facts.into_iter().for_each(|fact| audit.take(fact).unwrap());
    codes(&audit.finish(history.after, &[]))
}

#[test]
fn a_replay_is_answered_once_beside_its_first_run() {
    assert_eq!(of_replay(replayed()), []);
    let is_second = |fact: &Fact| matches!(fact, Fact::Answer(answer) if answer.replay);
    assert_eq!(of_replay(replayed().without(is_second)), [(Check::C1, "no-result")]);
    let third = Answer { replay: true, ..answer(3, 21, Status::Completed) };
    assert_eq!(of_replay(replayed().add(Fact::Answer(third))), [(Check::C1, "result-twice")]);
    // It fails again: then there is a second dead letter.
    let fails = |fact: &mut Fact| {
        if let Fact::Answer(answer) = fact
            && answer.replay
        {
            answer.status = Status::Failed;
        }
    };
    assert_eq!(of_replay(replayed().with(fails)), [(Check::C2, "no-dead-letter")]);
    let second = Letter { input: (0, 12), ..letter(3, 20) };
    assert_eq!(of_replay(replayed().with(fails).add(Fact::Letter(second))), []);
}

#[test]
fn what_retention_dropped_is_not_missed() {
    let trimmed = |fact: &Fact| is_answer(fact, 0) || is_charge(fact, 1) || is_letter(fact, 3);
    assert!(!History::clean().without(trimmed).found().is_empty());
    let report = History::clean().without(trimmed).audit(|audit| {
        audit.gone(Gone::Answers, START);
        audit.gone(Gone::Charges, START + 1);
        audit.gone(Gone::Letters, START + 3);
    });
    assert_eq!(codes(&report), []);
}

#[test]
fn where_a_group_began_is_taken_from_what_it_left() {
    let late = |fact: &Fact| match fact {
        Fact::Input(_) => false,
        Fact::Answer(answer) => answer.origin.offset < 4,
        Fact::Letter(letter) => letter.origin.offset < 4,
        Fact::Charge(charge) => charge.origin.offset < 4,
        Fact::Published(published) => published.origin.offset < 4,
        Fact::Call(call) => call.input.1 < 4,
        Fact::Entry(_) => false,
    };
    let mut history = History::clean().without(late);
    history.terms.began = Began::Unknown;
    assert_eq!(history.found(), []);
    let mut history = History::clean().without(late);
    history.terms.began = Began::Time(START + 4);
    assert_eq!(history.found(), []);
    let mut history = History::clean().without(late);
    history.terms.began = Began::Time(START + 3);
    assert!(history.found().contains(&(Check::C1, "no-result")));
}

#[test]
fn findings_are_bounded_and_counted_and_events_too() {
    let many = 3 * KEPT as i64;
    let facts = (0..many).map(|n| Fact::Input(input(n, Due::Result)));
    let terms = |most_events| Terms {
        most_events,
        ..Terms::whole("p", "g", "in", BTreeMap::from([(0, (0, many))]), done(many))
    };
    let report = Audit::of(terms(1_000), facts.clone(), done(many)).unwrap();
    let verdict = &report.verdicts[0];
    assert_eq!((verdict.found, verdict.findings.len()), (many as u64, KEPT));
    assert_eq!(verdict.findings[99].spot, Some(spot("in", 99)), "the first by place");
    let full = Audit::of(terms(10), facts, done(many)).unwrap_err();
    assert_eq!(full, TooMuch { most_events: 10 });
}
