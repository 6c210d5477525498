use super::*;

#[test]
fn c7_finds_money_that_does_not_sum_up() {
    let less = History::clean().with(|fact| {
        if let Fact::Answer(answer) = fact
            && answer.event == event(4)
        {
            answer.total = Some((Money(1), 0));
        }
    });
    let report = less.audit(|_| {});
    assert_eq!(codes(&report), [(Check::C7, "total")]);
    assert!(report.verdicts[6].findings[0].message.contains("0.000000103"), "{report:?}");
    let unpriced = History::clean().with(|fact| {
        if let Fact::Answer(answer) = fact
            && answer.event == event(4)
        {
            answer.total = Some((Money(104), 1));
        }
    });
    assert_eq!(unpriced.found(), [(Check::C7, "unpriced-calls")]);
    let twice = History::clean().add(Fact::Charge(charge(4, 50)));
    assert!(twice.found().contains(&(Check::C7, "cost-twice")));
}

#[test]
fn c7_leaves_adjustments_outside_of_totals_and_finds_one_of_nothing() {
    let adjustment = |adjusts| Charge {
        attempt: Uuid::from_u128(77),
        adjusts: Some(adjusts),
        amount: Some(Money(-20)),
        tokens: None,
        ..charge(4, 50)
    };
    let cost = |amount| {
        move |fact: &mut Fact| {
            if let Fact::Call(call) = fact
                && call.event == event(4)
                && let CallWhat::Outcome { amount: cost, .. } = &mut call.what
            {
                *cost = Some(Money(amount));
            }
        }
    };
    let adjusted = || History::clean().add(Fact::Charge(adjustment(attempt(4))));
    assert_eq!(adjusted().with(cost(84)).found(), []);
    assert_eq!(adjusted().with(cost(85)).found(), [(Check::C7, "unlike-journal")]);
    let wrong = History::clean().add(Fact::Charge(adjustment(Uuid::from_u128(78))));
    assert_eq!(wrong.found(), [(Check::C7, "adjusts-nothing")]);
}

#[test]
fn c7_finds_cost_events_that_the_journal_does_not_bear_out() {
    let of = |call: &Call| call.event == event(4);
    let lost = History::clean().without(|fact| matches!(fact, Fact::Call(call) if of(call)));
    // Unless intents are strict, a death may take the last records of the journal along.
    assert_eq!(lost.found(), []);
    let mut lost = History::clean().without(|fact| matches!(fact, Fact::Call(call) if of(call)));
    lost.terms.strict_intents = true;
    assert_eq!(lost.found(), [(Check::C7, "not-journaled")]);
    let untold = History::clean().add(Fact::Call(intent(4, 50, 1, Uuid::from_u128(9))));
    assert_eq!(untold.found(), [(Check::C7, "no-cost")]);
    let other = History::clean().with(|fact| {
        if let Fact::Call(call) = fact
            && call.event == event(4)
            && let CallWhat::Outcome { amount, .. } = &mut call.what
        {
            *amount = Some(Money(1));
        }
    });
    assert_eq!(other.found(), [(Check::C7, "unlike-journal")]);
    let withdrawn = Call {
        what: CallWhat::Withdrawn { attempt: Uuid::from_u128(9) },
        ..intent(4, 51, 1, Uuid::from_u128(9))
    };
    let withdrawn = History::clean()
        .add(Fact::Call(intent(4, 50, 1, Uuid::from_u128(9))))
        .add(Fact::Call(withdrawn));
    assert_eq!(withdrawn.found(), []);
}

fn ledger(history: History, change: impl Fn(i64, &mut Vec<Entry>), strict: bool) -> Report {
    let mut history = history;
    history.terms.strict_intents = strict;
    for n in (0..EVENTS).filter(|n| due(*n) == Due::Result) {
        let key = format!("{}/answer/1/0badcafe", event(n));
        let mut entries = vec![Entry { key, delivered: true, tokens: (10, 5) }];
        change(n, &mut entries);
        history.facts.extend(entries.into_iter().map(Fact::Entry));
    }
    history.audit(Audit::with_ledger)
}

#[test]
fn c7_finds_where_the_provider_has_another_account() {
    assert_eq!(codes(&ledger(History::clean(), |_, _| {}, true)), []);
    let other = |n, entries: &mut Vec<Entry>| entries[0].tokens.1 += u64::from(n == 4);
    let report = ledger(History::clean(), other, false);
    assert_eq!(codes(&report), [(Check::C7, "unlike-provider")]);
    let never = |n, entries: &mut Vec<Entry>| entries[0].delivered = n != 4;
    let report = ledger(History::clean(), never, false);
    assert_eq!(codes(&report), [(Check::C7, "unlike-provider")]);
    // An answer that was on its way when a process died is told with strict intents only.
    let more = |n, entries: &mut Vec<Entry>| {
        if n == 4 {
            entries.push(entries[0].clone());
        }
    };
    let report = ledger(History::clean(), more, false);
    assert_eq!(codes(&report), []);
    assert!(report.verdicts[6].notes[0].starts_with("1 answers of the provider"), "{report:?}");
    let report = ledger(History::clean(), more, true);
    assert_eq!(codes(&report), [(Check::C7, "untold-call")]);
}

/// An attempt that failed, and was paid all the same.
fn failed(of: i64, at: i64, attempt: Uuid) -> Call {
    let amount = Some(Money(100 + i128::from(of)));
    let what = CallWhat::Outcome { attempt: Some(attempt), amount, started_at: 0, answer: None };
    Call { what, ..outcome(of, at, 1, attempt) }
}

#[test]
fn c7_wants_a_call_that_was_told_late_to_be_told_as_an_adjustment_of_its_price() {
    let late = |amount: i128| {
        let mut history = History::clean().add(Fact::Call(failed(4, 50, attempt(99))));
        history = history.add(Fact::Charge(Charge {
            attempt: Uuid::from_u128(77),
            adjusts: Some(attempt(99)),
            amount: Some(Money(amount)),
            tokens: None,
            ..charge(4, 50)
        }));
        history.found()
    };
    assert_eq!(late(103), [(Check::C7, "unlike-journal")]);
    assert_eq!(late(104), []);
}

#[test]
fn c7_passes_over_an_untold_call_of_a_process_that_had_lost_the_partition_unless_intents_are_strict()
 {
    for (owner, strict, found) in [(1, false, 1), (2, false, 0), (2, true, 1)] {
        let mut history = History::clean();
        history.terms.strict_intents = strict;
        let report = history.audit(|audit| {
            audit.opened(0, 49, owner, 0);
            audit.call(&failed(4, 50, attempt(99))).unwrap();
        });
        assert_eq!(codes(&report).len(), found, "{owner} {strict}");
    }
}

#[test]
fn c7_counts_calls_of_which_all_is_told_when_another_process_has_the_partition() {
    let other = Uuid::from_u128(0xC000);
    let told = |announced: i64| {
        let History { facts, terms, after } = History::clean();
        let mut audit = Audit::new(terms);
        audit.with_journal();
        facts.into_iter().for_each(|fact| audit.take(fact).unwrap());
        if announced < 40 {
            audit.take(Fact::Call(intent(4, announced, 1, other))).unwrap();
        }
        audit.opened(0, 40, 2, 1_000);
        if announced > 40 {
            audit.take(Fact::Call(intent(4, announced, 1, other))).unwrap();
        }
        audit.take(Fact::Call(outcome(4, 60, 1, other))).unwrap();
        audit.finish(after, &[])
    };
    let report = told(50);
    assert_eq!(codes(&report), []);
    let note = &report.verdicts[6].notes[0];
    assert!(note.starts_with("1 calls ended when their process had lost"), "{note}");
    // Announced before: who took over knew, and had to charge it.
    assert_eq!(codes(&told(30)), [(Check::C7, "no-cost")]);
}
