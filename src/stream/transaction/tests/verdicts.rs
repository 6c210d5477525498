//! What becomes of a batch after each kind of failure, and whether its producer outlives it.

use super::{
    Action, Class, CommitErrorKind, Decision, Do, Event, Fault, Outcome, RENEWALS, Rejection, Step,
    Subject, TOO_OLD, Transaction, Walk, fault, rejected,
};

const STALE: CommitErrorKind = CommitErrorKind::Stale;
const TRANSIENT: CommitErrorKind = CommitErrorKind::Transient;
const FENCED: CommitErrorKind = CommitErrorKind::Fenced;
const FATAL: CommitErrorKind = CommitErrorKind::Fatal;

/// The kinds of failure by what they are about.
const SUBJECTS: [(Subject, CommitErrorKind); 4] = [
    (Subject::Membership, STALE),
    (Subject::Access, TRANSIENT),
    (Subject::Progress, FATAL),
    (Subject::Other, TRANSIENT),
];

fn about(subject: Subject, unwritable: bool) -> Event {
    let message = "why".to_owned();
    Event::Rejected(Rejection { index: Some(7), unwritable, subject, message })
}

impl Walk {
    #[track_caller]
    fn failed(&self, expected: CommitErrorKind, about: Subject, because: &str) {
        let Action::Finish(Outcome::Failed { kind, subject, message }) = &self.action else {
            panic!("{:?} is no failure", self.action)
        };
        assert_eq!((*kind, *subject, message.as_str()), (expected, about, because));
    }

    /// The next batch begins with that.
    #[track_caller]
    fn next_begins_with(&mut self, step: Step) {
        self.start();
        assert_eq!(self.action, Do(step));
    }
}

#[test]
fn a_producer_that_cannot_be_made_ends_the_instance() {
    let mut walk = Walk::come_to(Step::Begin);
    walk.take(fault(Class::Fatal, Subject::Other));
    walk.expect(&[(Do(Step::Renew), fault(Class::Retriable, Subject::Other))]);
    walk.failed(FATAL, Subject::Other, "why");
    walk.next_begins_with(Step::Renew);
}

#[test]
fn a_producer_that_cannot_begin_is_replaced() {
    for class in [Class::Abortable, Class::Fatal] {
        let mut walk = Walk::come_to(Step::Begin);
        walk.take(fault(class, Subject::Other));
        assert_eq!(walk.action, Do(Step::Renew));
        walk.go_to(Step::Commit);
    }
}

#[test]
fn a_producer_that_cannot_be_initialised_is_replaced_but_not_where_access_is_refused() {
    for class in [Class::Abortable, Class::Fatal] {
        for doubt in [false, true] {
            let come = |subject| {
                let mut walk = Walk::come_to(if doubt { Step::Commit } else { Step::Begin });
                walk.take(fault(Class::Fatal, Subject::Other));
                walk.go_to(Step::Init);
                walk.take(fault(class, subject));
                walk
            };
            assert_eq!(come(Subject::Other).action, Do(Step::Renew));
            let mut denied = come(Subject::Access);
            denied.failed(if doubt { FATAL } else { TRANSIENT }, Subject::Access, "why");
            denied.next_begins_with(Step::Renew);
            // A doubt does not outlive its batch.
            denied.go_to(Step::Begin);
        }
    }
}

#[test]
fn access_that_may_be_granted_yet_is_asked_for_again() {
    let mut walk = Walk::come_to(Step::Begin);
    walk.take(fault(Class::Fatal, Subject::Other));
    walk.go_to(Step::Init);
    walk.take(fault(Class::Retriable, Subject::Access));
    assert!(matches!(walk.action, Action::Pause(_)));
    walk.take(Event::Rested);
    walk.go_to(Step::Begin);
}

#[test]
fn too_many_new_producers_say_what_the_last_one_was_for() {
    let mut machine = Transaction::new();
    let action = machine.open(super::STEP);
    let mut fresh = Walk { machine, now: super::STEP, action };
    for (walk, renewals, cause) in [
        (&mut fresh, RENEWALS + 1, "they could not be initialised"),
        (&mut Walk::come_to(Step::Commit), RENEWALS, "why"),
    ] {
        if walk.action == Do(Step::Commit) {
            walk.take(fault(Class::Fatal, Subject::Other));
        }
        for _ in 0..renewals {
            let init_fails = fault(Class::Fatal, Subject::Other);
            walk.expect(&[(Do(Step::Renew), Event::Done), (Do(Step::Init), init_fails)]);
        }
        let said = format!("5 new producers within a minute, the last: {cause}");
        walk.failed(FATAL, Subject::Other, &said);
    }
}

#[test]
fn offsets_that_are_refused_are_told_apart_by_what_the_refusal_is_about() {
    for (subject, expected) in SUBJECTS {
        for (class, next) in [(Class::Abortable, Step::Begin), (Class::Fatal, Step::Renew)] {
            let mut walk = Walk::come_to(Step::SendOffsets);
            walk.take(fault(class, subject));
            if class == Class::Abortable {
                walk.expect(&[(Do(Step::Abort), Event::Ended { troubled: false })]);
            }
            walk.failed(expected, subject, "why");
            walk.next_begins_with(next);
        }
    }
}

#[test]
fn offsets_that_got_no_answer_in_time_cost_the_producer_too() {
    let mut walk = Walk::come_to(Step::SendOffsets);
    walk.now += TOO_OLD / 2;
    walk.take(fault(Class::Retriable, Subject::Other));
    walk.expect(&[(Do(Step::Abort), Event::Ended { troubled: false })]);
    walk.failed(TRANSIENT, Subject::Other, "why");
    walk.next_begins_with(Step::Renew);
}

#[test]
fn a_producer_that_fails_amid_records_is_not_asked_to_abort() {
    for step in [Step::Produce, Step::Await] {
        for (subject, expected) in SUBJECTS {
            for class in [Class::Retriable, Class::Abortable, Class::Fatal] {
                let mut walk = Walk::come_to(step);
                walk.take(fault(class, subject));
                walk.failed(expected, subject, "why");
                walk.next_begins_with(Step::Renew);
            }
        }
    }
}

#[test]
fn a_record_that_can_never_be_written_is_named_whatever_else_is_refused() {
    for (first, then) in [
        (about(Subject::Access, true), rejected(None, false)),
        (rejected(None, false), about(Subject::Access, true)),
    ] {
        let mut walk = Walk::come_to(Step::Produce);
        walk.take(first);
        walk.expect(&[
            (Do(Step::Await), then),
            (Do(Step::Abort), Event::Ended { troubled: false }),
        ]);
        walk.failed(CommitErrorKind::Unwritable(Some(7)), Subject::Access, "why");
        walk.next_begins_with(Step::Begin);
    }
}

#[test]
fn the_first_of_two_refusals_that_may_pass_is_the_one_told() {
    let mut walk = Walk::come_to(Step::Produce);
    walk.take(about(Subject::Access, false));
    walk.expect(&[
        (Do(Step::Await), rejected(None, false)),
        (Do(Step::Abort), Event::Ended { troubled: false }),
    ]);
    walk.failed(TRANSIENT, Subject::Access, "why");
}

#[test]
fn records_that_nobody_reports_fail_the_batch_and_cost_the_producer() {
    let mut walk = Walk::come_to(Step::Await);
    walk.take(Event::Unreported);
    walk.failed(TRANSIENT, Subject::Other, "records were not acknowledged in time");
    walk.next_begins_with(Step::Renew);

    walk.go_to(Step::Produce);
    walk.expect(&[
        (Do(Step::Produce), about(Subject::Other, true)),
        (Do(Step::Await), Event::Unreported),
    ]);
    walk.failed(CommitErrorKind::Unwritable(Some(7)), Subject::Other, "why");
    walk.next_begins_with(Step::Renew);
}

#[test]
fn a_clone_is_told_by_a_refused_record_too_unless_the_transaction_is_old() {
    for step in [Step::Produce, Step::Await] {
        let said = "another process runs with this instance's name: why";
        let mut walk = Walk::come_to(step);
        walk.take(about(Subject::Producer, true));
        walk.failed(FENCED, Subject::Producer, said);

        let mut walk = Walk::come_to(step);
        walk.now += TOO_OLD;
        walk.take(about(Subject::Producer, true));
        walk.failed(TRANSIENT, Subject::Other, "why");
        walk.next_begins_with(Step::Renew);
    }
}

#[test]
fn a_transaction_given_up_for_its_age_keeps_the_verdict_on_its_batch() {
    let mut walk = Walk::come_to(Step::Produce);
    walk.take(rejected(Some(3), true));
    walk.expect(&[(Do(Step::Await), Event::Done)]);
    walk.now += TOO_OLD;
    walk.take(fault(Class::Fatal, Subject::Producer));
    walk.failed(CommitErrorKind::Unwritable(Some(3)), Subject::Other, "why");
    walk.next_begins_with(Step::Renew);
}

#[test]
fn an_abort_that_fails_costs_the_producer_whatever_the_class() {
    for class in [Class::Abortable, Class::Fatal] {
        let mut walk = Walk::come_to(Step::Abort);
        walk.take(Event::Failed(Fault { class, subject: Subject::Other, message: String::new() }));
        walk.failed(TRANSIENT, Subject::Other, "why");
        walk.next_begins_with(Step::Renew);
    }
}

#[test]
fn a_decided_doubt_is_told_as_decided_and_leaves_nothing_to_the_next_batch() {
    let unknowable = "a batch without progress is in doubt: nothing tells whether it was committed";
    for (decision, told) in [
        (Decision::Committed, None),
        (Decision::NotCommitted, Some((TRANSIENT, Subject::Access, "why"))),
        (
            Decision::NotOurs,
            Some((STALE, Subject::Membership, "every partition of the batch was given up")),
        ),
        (Decision::Unknowable, Some((FATAL, Subject::Other, unknowable))),
    ] {
        let mut walk = Walk::come_to(Step::Commit);
        walk.take(fault(Class::Abortable, Subject::Access));
        walk.go_to(Step::Decide);
        walk.take(Event::Decided(decision));
        match told {
            None => assert_eq!(walk.action, Action::Finish(Outcome::Done)),
            Some((kind, subject, message)) => walk.failed(kind, subject, message),
        }
        walk.until_commit();
        walk.take(Event::Ended { troubled: false });
        assert_eq!(walk.action, Action::Finish(Outcome::Done));
        walk.next_begins_with(Step::Begin);
    }
}

#[test]
fn a_doubt_that_nothing_resolves_says_why_not() {
    let mut walk = Walk::come_to(Step::Decide);
    walk.now += TOO_OLD * 100;
    walk.take(fault(Class::Retriable, Subject::Access));
    let said = "it could not be told whether a batch was committed: why";
    walk.failed(FATAL, Subject::Access, said);
}

#[test]
fn whoever_goes_on_after_the_end_is_told_so() {
    let mut walk = Walk::come_to(Step::Commit);
    walk.take(Event::Ended { troubled: false });
    walk.take(Event::Ended { troubled: false });
    walk.failed(FATAL, Subject::Other, "no transaction is under way");
}
