use std::time::Duration;

use proptest::prelude::*;

use super::{
    Action, Class, Decision, Event, Fault, MINUTE, Outcome, RENEWALS, Rejection, SLOW_END, Step,
    Subject, TOO_OLD, Transaction,
};
use crate::stream::CommitErrorKind;
use Action::Do;

mod limits;
mod verdicts;

const STEP: Duration = Duration::from_millis(1);

fn fault(class: Class, subject: Subject) -> Event {
    Event::Failed(Fault { class, subject, message: "why".to_owned() })
}

fn rejected(index: Option<usize>, unwritable: bool) -> Event {
    let message = "why".to_owned();
    Event::Rejected(Rejection { index, unwritable, subject: Subject::Other, message })
}

fn kind(action: &Action) -> Option<CommitErrorKind> {
    match action {
        Action::Finish(Outcome::Failed { kind, .. }) => Some(*kind),
        _ => None,
    }
}

/// A machine with a producer, and its time.
struct Walk {
    machine: Transaction,
    now: Duration,
    action: Action,
}

impl Walk {
    fn opened() -> Self {
        let mut machine = Transaction::new();
        let action = machine.open(Duration::ZERO);
        let mut walk = Walk { machine, now: Duration::ZERO, action };
        walk.expect(&[
            (Do(Step::Renew), Event::Done),
            (Do(Step::Init), Event::Done),
            (Action::Finish(Outcome::Done), Event::Rested),
        ]);
        walk
    }

    fn start(&mut self) {
        self.action = self.machine.start(self.now);
    }

    fn take(&mut self, event: Event) {
        self.now += STEP;
        self.action = self.machine.next(event, self.now);
    }

    /// Each action as it should come, answered with that event. The answer to an end is not given.
    #[track_caller]
    fn expect(&mut self, steps: &[(Action, Event)]) {
        for (action, event) in steps {
            assert_eq!(self.action, *action);
            if !matches!(action, Action::Finish(_)) {
                self.take(event.clone());
            }
        }
    }

    /// To the point where the commit is sent.
    #[track_caller]
    fn until_commit(&mut self) {
        self.start();
        self.expect(&[
            (Do(Step::Begin), Event::Done),
            (Do(Step::SendOffsets), Event::Done),
            (Do(Step::Produce), Event::Done),
            (Do(Step::Await), Event::Done),
        ]);
        assert_eq!(self.action, Do(Step::Commit));
    }
}

#[test]
fn a_batch_is_produced_acknowledged_and_committed() {
    let mut walk = Walk::opened();
    for _ in 0..2 {
        walk.until_commit();
        walk.take(Event::Ended { troubled: false });
        assert_eq!(walk.action, Action::Finish(Outcome::Done));
    }
}

#[test]
fn a_commit_that_saw_trouble_is_done_but_its_producer_is_not_used_again() {
    let mut walk = Walk::opened();
    walk.until_commit();
    walk.take(Event::Ended { troubled: true });
    assert_eq!(walk.action, Action::Finish(Outcome::Done));
    walk.start();
    assert_eq!(walk.action, Do(Step::Renew));
}

#[test]
fn a_slow_commit_is_done_but_its_producer_is_not_used_again() {
    let mut walk = Walk::opened();
    walk.until_commit();
    walk.now += SLOW_END;
    walk.take(Event::Ended { troubled: false });
    assert_eq!(walk.action, Action::Finish(Outcome::Done));
    walk.start();
    assert_eq!(walk.action, Do(Step::Renew));
}

#[test]
fn an_abort_that_saw_trouble_costs_the_producer_too() {
    for (late, troubled) in [(Duration::ZERO, true), (SLOW_END, false)] {
        let mut walk = Walk::opened();
        walk.start();
        walk.expect(&[
            (Do(Step::Begin), Event::Done),
            (Do(Step::SendOffsets), Event::Done),
            (Do(Step::Produce), Event::Done),
            (Do(Step::Await), rejected(None, false)),
        ]);
        walk.now += late;
        walk.take(Event::Ended { troubled });
        assert_eq!(kind(&walk.action), Some(CommitErrorKind::Transient));
        walk.start();
        assert_eq!(walk.action, Do(Step::Renew));
    }
}

#[test]
fn offsets_without_an_answer_cost_the_producer() {
    let mut walk = Walk::opened();
    walk.start();
    walk.expect(&[
        (Do(Step::Begin), Event::Done),
        (Do(Step::SendOffsets), fault(Class::Retriable, Subject::Other)),
    ]);
    assert!(matches!(walk.action, Action::Pause(_)));
    walk.take(Event::Rested);
    walk.expect(&[
        (Do(Step::SendOffsets), Event::Done),
        (Do(Step::Produce), Event::Done),
        (Do(Step::Await), Event::Done),
        (Do(Step::Commit), Event::Ended { troubled: false }),
        (Action::Finish(Outcome::Done), Event::Rested),
    ]);
    walk.start();
    assert_eq!(walk.action, Do(Step::Renew), "the first may arrive within a later transaction");
}

#[test]
fn a_retriable_commit_is_the_same_call_again_and_then_a_doubt() {
    let mut walk = Walk::opened();
    walk.until_commit();
    let mut pauses = 0;
    while walk.action == Do(Step::Commit) {
        walk.now += Duration::from_secs(2);
        walk.take(fault(Class::Retriable, Subject::Other));
        if matches!(walk.action, Action::Pause(_)) {
            pauses += 1;
            walk.take(Event::Rested);
        }
    }
    assert_eq!(pauses, 3);
    walk.expect(&[
        (Do(Step::Renew), Event::Done),
        (Do(Step::Init), Event::Done),
        (Do(Step::Decide), Event::Decided(Decision::Committed)),
        (Action::Finish(Outcome::Done), Event::Rested),
    ]);
    // The new producer is as good as any.
    walk.start();
    assert_eq!(walk.action, Do(Step::Begin));
}

#[test]
fn a_doubt_is_decided_by_what_is_committed() {
    for (decision, expected) in [
        (Decision::Committed, None),
        (Decision::NotCommitted, Some(CommitErrorKind::Transient)),
        (Decision::NotOurs, Some(CommitErrorKind::Stale)),
        (Decision::Unknowable, Some(CommitErrorKind::Fatal)),
    ] {
        let mut walk = Walk::opened();
        walk.until_commit();
        walk.take(fault(Class::Fatal, Subject::Other));
        walk.expect(&[
            (Do(Step::Renew), Event::Done),
            (Do(Step::Init), Event::Done),
            (Do(Step::Decide), Event::Decided(decision)),
        ]);
        assert!(matches!(walk.action, Action::Finish(_)), "{decision:?}");
        assert_eq!(kind(&walk.action), expected, "{decision:?}");
    }
}

#[test]
fn a_doubt_waits_for_a_broker_that_is_down_but_not_for_ever() {
    let mut walk = Walk::opened();
    walk.until_commit();
    walk.take(fault(Class::Fatal, Subject::Other));
    walk.expect(&[(Do(Step::Renew), Event::Done)]);
    for _ in 0..50 {
        assert_eq!(walk.action, Do(Step::Init));
        walk.now += Duration::from_secs(5);
        walk.take(fault(Class::Retriable, Subject::Other));
        assert!(matches!(walk.action, Action::Pause(_)), "{:?}", walk.action);
        walk.take(Event::Rested);
    }
    walk.now += Duration::from_secs(100);
    walk.take(fault(Class::Retriable, Subject::Other));
    assert_eq!(kind(&walk.action), Some(CommitErrorKind::Fatal));
}

#[test]
fn offsets_of_an_old_generation_abort_the_batch_as_stale() {
    let mut walk = Walk::opened();
    walk.start();
    walk.expect(&[
        (Do(Step::Begin), Event::Done),
        (Do(Step::SendOffsets), fault(Class::Abortable, Subject::Membership)),
        (Do(Step::Abort), Event::Ended { troubled: false }),
    ]);
    assert_eq!(kind(&walk.action), Some(CommitErrorKind::Stale));
    walk.start();
    assert_eq!(walk.action, Do(Step::Begin));
}

#[test]
fn a_record_that_is_refused_waits_for_the_others_before_the_abort() {
    let mut walk = Walk::opened();
    walk.start();
    walk.expect(&[
        (Do(Step::Begin), Event::Done),
        (Do(Step::SendOffsets), Event::Done),
        (Do(Step::Produce), rejected(Some(3), true)),
        (Do(Step::Await), Event::Done),
        (Do(Step::Abort), Event::Ended { troubled: false }),
    ]);
    assert_eq!(kind(&walk.action), Some(CommitErrorKind::Unwritable(Some(3))));
}

#[test]
fn a_record_that_is_not_delivered_aborts_the_batch() {
    for (unwritable, expected) in
        [(true, CommitErrorKind::Unwritable(None)), (false, CommitErrorKind::Transient)]
    {
        let mut walk = Walk::opened();
        walk.start();
        walk.expect(&[
            (Do(Step::Begin), Event::Done),
            (Do(Step::SendOffsets), Event::Done),
            (Do(Step::Produce), Event::Done),
            (Do(Step::Await), rejected(None, unwritable)),
            (Do(Step::Abort), Event::Ended { troubled: false }),
        ]);
        assert_eq!(kind(&walk.action), Some(expected));
    }
}

#[test]
fn a_failed_abort_costs_the_producer_not_the_verdict() {
    let mut walk = Walk::opened();
    walk.start();
    walk.expect(&[
        (Do(Step::Begin), Event::Done),
        (Do(Step::SendOffsets), Event::Done),
        (Do(Step::Produce), rejected(Some(0), true)),
        (Do(Step::Await), Event::Done),
        (Do(Step::Abort), fault(Class::Fatal, Subject::Other)),
    ]);
    assert_eq!(kind(&walk.action), Some(CommitErrorKind::Unwritable(Some(0))));
    walk.start();
    assert_eq!(walk.action, Do(Step::Renew));
}

#[test]
fn a_producer_taken_by_another_process_ends_the_instance() {
    let mut walk = Walk::opened();
    walk.start();
    walk.expect(&[
        (Do(Step::Begin), Event::Done),
        (Do(Step::SendOffsets), Event::Done),
        (Do(Step::Produce), Event::Done),
        (Do(Step::Await), fault(Class::Fatal, Subject::Producer)),
    ]);
    assert_eq!(kind(&walk.action), Some(CommitErrorKind::Fenced));
}

#[test]
fn a_transaction_that_the_coordinator_gave_up_for_its_age_is_no_clone() {
    let mut walk = Walk::opened();
    walk.start();
    walk.expect(&[
        (Do(Step::Begin), Event::Done),
        (Do(Step::SendOffsets), Event::Done),
        (Do(Step::Produce), Event::Done),
    ]);
    // The process was frozen.
    walk.now += TOO_OLD;
    walk.take(fault(Class::Fatal, Subject::Producer));
    assert_eq!(kind(&walk.action), Some(CommitErrorKind::Transient));

    let mut walk = Walk::opened();
    walk.until_commit();
    walk.now += TOO_OLD;
    walk.take(fault(Class::Fatal, Subject::Producer));
    assert_eq!(walk.action, Do(Step::Renew), "a commit may have been done before");
}

#[test]
fn access_refused_at_the_start_is_no_reason_to_try_again() {
    let mut machine = Transaction::new();
    assert_eq!(machine.open(Duration::ZERO), Do(Step::Renew));
    assert_eq!(machine.next(Event::Done, STEP), Do(Step::Init));
    let action = machine.next(fault(Class::Fatal, Subject::Access), STEP * 2);
    assert!(matches!(action, Action::Finish(Outcome::Failed { subject: Subject::Access, .. })));
}

// ---- against a naive model of the broker ----

/// How one call turns out, drawn.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Good,
    /// Done, but connections were lost on the way.
    Troubled,
    Retriable,
    Abortable,
    Fatal,
    /// Fails, and yet was done.
    DoneButFailed(Class),
    Stale,
    Unwritable,
    Slow,
}

/// Half of all calls go well. One draw of a number: a choice among strategies costs as much as the walk.
fn luck(draw: u8) -> Luck {
    match draw % 24 {
        0 => Luck::Troubled,
        1 | 2 => Luck::Retriable,
        3 => Luck::Abortable,
        4 => Luck::Fatal,
        5 => Luck::DoneButFailed(Class::Retriable),
        6 => Luck::DoneButFailed(Class::Abortable),
        7 => Luck::DoneButFailed(Class::Fatal),
        8 => Luck::Stale,
        9 => Luck::Unwritable,
        10 => Luck::Slow,
        _ => Luck::Good,
    }
}

/// What a broker would know, without any of the machine's thoughts.
#[derive(Default)]
struct World {
    /// Producers made so far; the newest is the one in use.
    producers: u32,
    initialised: bool,
    open: bool,
    produced: bool,
    reported: bool,
    offsets: bool,
    /// The current batch was committed, by how many ends.
    committed: u32,
    /// An end of an earlier transaction of this producer may still be on its way.
    late: bool,
    commit_sent: bool,
    last: Option<Step>,
}

impl World {
    /// Performs an action; says what the machine is told.
    fn perform(&mut self, action: &Action, luck: Luck, now: &mut Duration) -> Event {
        *now += Duration::from_millis(5);
        if let Luck::Slow = luck {
            *now += Duration::from_secs(9);
        }
        if let Do(step) = action {
            self.last = Some(*step);
        }
        match action {
            Do(Step::Renew) => {
                self.producers += 1;
                self.initialised = false;
                self.late = false;
                Event::Done
            }
            Do(Step::Init) => match luck {
                Luck::Retriable => fault(Class::Retriable, Subject::Other),
                Luck::Fatal => fault(Class::Fatal, Subject::Other),
                _ => {
                    // Ends whatever the one before left open.
                    self.initialised = true;
                    self.open = false;
                    Event::Done
                }
            },
            Do(Step::Begin) => {
                assert!(self.initialised, "a transaction on a producer that is not initialised");
                assert!(!self.late, "a transaction on a producer whose last outcome was in doubt");
                assert!(!self.open, "a transaction within a transaction");
                (self.open, self.produced, self.reported, self.offsets) =
                    (true, false, false, false);
                Event::Done
            }
            Do(Step::Produce) => {
                assert!(self.open && self.offsets);
                self.produced = true;
                match luck {
                    Luck::Unwritable => rejected(Some(0), true),
                    Luck::Fatal => fault(Class::Fatal, Subject::Other),
                    _ => Event::Done,
                }
            }
            Do(Step::Await) => {
                assert!(self.produced);
                self.reported = true;
                match luck {
                    Luck::Unwritable => rejected(Some(0), true),
                    Luck::Abortable => rejected(None, false),
                    Luck::Fatal => {
                        self.reported = false;
                        Event::Unreported
                    }
                    _ => Event::Done,
                }
            }
            Do(Step::SendOffsets) => {
                assert!(self.open && !self.produced, "offsets after records");
                // Without an answer they may still be on their way.
                self.late |= matches!(luck, Luck::Retriable | Luck::Fatal);
                match luck {
                    Luck::Retriable => fault(Class::Retriable, Subject::Other),
                    Luck::Abortable => fault(Class::Abortable, Subject::Other),
                    Luck::Stale => fault(Class::Abortable, Subject::Membership),
                    Luck::Fatal => fault(Class::Fatal, Subject::Other),
                    _ => {
                        self.offsets = true;
                        Event::Done
                    }
                }
            }
            Do(Step::Commit) => {
                assert!(self.offsets, "a commit without offsets");
                assert!(self.reported, "a commit before every record is reported");
                assert!(self.open || self.commit_sent, "a commit of nothing");
                self.commit_sent = true;
                let class = match luck {
                    Luck::Retriable => Some(Class::Retriable),
                    Luck::Abortable => Some(Class::Abortable),
                    Luck::Fatal => Some(Class::Fatal),
                    Luck::DoneButFailed(class) => {
                        self.end();
                        Some(class)
                    }
                    _ => None,
                };
                self.late |= class.is_some() || matches!(luck, Luck::Troubled | Luck::Slow);
                match class {
                    Some(class) => fault(class, Subject::Other),
                    None => {
                        self.end();
                        // A request that had to be sent again shows as trouble, a slow one by its time alone.
                        let troubled = self.late && !matches!(luck, Luck::Slow);
                        Event::Ended { troubled }
                    }
                }
            }
            Do(Step::Abort) => {
                assert!(self.reported || !self.produced, "an abort with records on their way");
                assert!(!self.commit_sent, "an abort after a commit was sent");
                match luck {
                    Luck::Retriable => fault(Class::Retriable, Subject::Other),
                    Luck::Abortable | Luck::Fatal => {
                        self.late = true;
                        fault(Class::Fatal, Subject::Other)
                    }
                    _ => {
                        self.open = false;
                        self.late |= matches!(luck, Luck::Troubled | Luck::Slow);
                        Event::Ended { troubled: matches!(luck, Luck::Troubled) }
                    }
                }
            }
            Do(Step::Decide) => {
                assert!(self.initialised, "asked while the old transaction may still end");
                match luck {
                    Luck::Retriable => fault(Class::Retriable, Subject::Other),
                    _ if self.committed > 0 => Event::Decided(Decision::Committed),
                    _ => Event::Decided(Decision::NotCommitted),
                }
            }
            Action::Pause(pause) => {
                // Only calls that the broker must answer are repeated inside a transaction; a batch that failed rests
                // outside (R6).
                let records = matches!(self.last, Some(Step::Produce | Step::Await));
                assert!(!records, "a rest inside a transaction, after {:?}", self.last);
                *now += *pause;
                Event::Rested
            }
            Action::Finish(_) => unreachable!(),
        }
    }

    fn end(&mut self) {
        if self.open {
            self.open = false;
            self.committed += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(10_000), ..ProptestConfig::default() })]

    #[test]
    fn what_is_reported_is_what_happened(draws in prop::collection::vec(any::<u8>(), 1..60)) {
        let mut machine = Transaction::new();
        let mut world = World::default();
        let mut now = Duration::ZERO;
        let mut lucks = draws.into_iter().map(luck);
        let mut action = machine.open(now);
        let mut opening = true;
        let mut steps = 0;
        loop {
            if let Action::Finish(outcome) = &action {
                match outcome {
                    Outcome::Done if opening => prop_assert!(world.initialised),
                    Outcome::Done => prop_assert_eq!(world.committed, 1),
                    // The instance ends: the next start reads what was committed.
                    Outcome::Failed { kind: CommitErrorKind::Fatal, .. } => break,
                    Outcome::Failed { kind, message, .. } => {
                        prop_assert_eq!(world.committed, 0, "{:?} {}", kind, message);
                    }
                }
                if lucks.len() == 0 {
                    break;
                }
                opening = false;
                // What a batch leaves open is ended by the next producer, never by this one.
                prop_assert!(!world.open || world.late || !world.reported || machine.spent);
                world.committed = 0;
                world.commit_sent = false;
                action = machine.start(now);
                continue;
            }
            steps += 1;
            prop_assert!(steps < 10_000, "it never ends");
            // When luck is used up everything goes well, so that every walk ends.
            let luck = lucks.next().unwrap_or(Luck::Good);
            let event = world.perform(&action, luck, &mut now);
            action = machine.next(event, now);
        }
    }
}
