//! How long, how often and after what rest things are tried, each to the very edge.

use std::time::Duration;

use super::super::{
    DECIDE_WITHIN, OPEN_WITHIN, REPEAT_WITHIN, SOCKET_TIMEOUT, TRANSACTION_TIMEOUT,
};
use super::{
    Action, Class, CommitErrorKind, Decision, Do, Event, MINUTE, RENEWALS, SLOW_END, Step, Subject,
    TOO_OLD, Transaction, Walk, fault, kind, rejected,
};

const MOMENT: Duration = Duration::from_nanos(1);

fn retriable() -> Event {
    fault(Class::Retriable, Subject::Other)
}

impl Walk {
    /// A batch that has come to that step.
    #[track_caller]
    pub(super) fn come_to(step: Step) -> Self {
        let mut walk = Walk::opened();
        walk.start();
        walk.go_to(step);
        walk
    }

    /// On to that step: all goes well but for what has to fail on the way there.
    #[track_caller]
    pub(super) fn go_to(&mut self, step: Step) {
        for _ in 0..10 {
            if self.action == Do(step) {
                return;
            }
            self.take(match self.action {
                Do(Step::Await) if step == Step::Abort => rejected(None, false),
                Do(Step::Commit) => fault(Class::Fatal, Subject::Other),
                _ => Event::Done,
            });
        }
        panic!("{step:?} does not come, but {:?}", self.action);
    }
}

fn rests(action: &Action) -> bool {
    matches!(action, Action::Pause(_))
}

/// What comes of that event at that time, when a moment before it leads to a rest.
#[track_caller]
fn at_the_edge(walk: &mut Walk, edge: Duration, event: &Event) -> Action {
    let before = walk.machine.next(event.clone(), edge - MOMENT);
    assert!(rests(&before), "{:?}: {before:?}", walk.machine.step);
    walk.now = edge;
    walk.action = walk.machine.next(event.clone(), edge);
    walk.action.clone()
}

#[test]
fn the_limits_stand_in_the_proportions_they_are_said_to() {
    assert_eq!(REPEAT_WITHIN * 2, TRANSACTION_TIMEOUT);
    assert_eq!(SLOW_END * 5, SOCKET_TIMEOUT * 4);
    assert_eq!(TOO_OLD, TRANSACTION_TIMEOUT);
    assert_eq!(MINUTE, Duration::from_secs(60));
}

#[test]
fn each_rest_is_twice_the_one_before_up_to_a_second_and_the_next_step_begins_anew() {
    let mut walk = Walk::come_to(Step::SendOffsets);
    for millis in [20, 40, 80, 160, 320, 640, 1_000, 1_000] {
        walk.take(retriable());
        assert_eq!(walk.action, Action::Pause(Duration::from_millis(millis)));
        walk.take(Event::Rested);
        assert_eq!(walk.action, Do(Step::SendOffsets));
    }
    walk.take(Event::Done);
    walk.expect(&[(Do(Step::Produce), Event::Done), (Do(Step::Await), Event::Done)]);
    walk.take(retriable());
    assert_eq!(walk.action, Action::Pause(Duration::from_millis(20)));
}

#[test]
fn a_call_is_repeated_only_within_its_own_time() {
    for (step, given_up) in [
        (Step::Begin, Some(Do(Step::Renew))),
        (Step::SendOffsets, Some(Do(Step::Abort))),
        (Step::Commit, Some(Do(Step::Renew))),
        (Step::Abort, None),
    ] {
        let mut walk = Walk::come_to(step);
        // What the steps before it took is not counted.
        let edge = walk.now + REPEAT_WITHIN;
        let after = at_the_edge(&mut walk, edge, &retriable());
        match given_up {
            Some(action) => assert_eq!(after, action),
            None => assert_eq!(kind(&after), Some(CommitErrorKind::Transient)),
        }
    }
}

#[test]
fn a_start_waits_for_a_coordinator_from_its_beginning_whatever_producers_it_makes() {
    let begin = Duration::from_secs(5);
    let mut machine = Transaction::new();
    let action = machine.open(begin);
    let mut walk = Walk { machine, now: begin + OPEN_WITHIN / 2, action };
    walk.expect(&[
        (Do(Step::Renew), Event::Done),
        (Do(Step::Init), fault(Class::Fatal, Subject::Other)),
        (Do(Step::Renew), Event::Done),
    ]);
    let after = at_the_edge(&mut walk, begin + OPEN_WITHIN, &retriable());
    assert_eq!(kind(&after), Some(CommitErrorKind::Transient));
    walk.start();
    assert_eq!(walk.action, Do(Step::Renew));
}

#[test]
fn a_doubt_is_pursued_from_the_beginning_of_the_batch_for_as_long_as_it_may_last() {
    for step in [Step::Init, Step::Decide] {
        let mut walk = Walk::opened();
        walk.now += Duration::from_secs(1_000);
        let begin = walk.now;
        walk.start();
        walk.go_to(Step::Commit);
        walk.take(fault(Class::Fatal, Subject::Other));
        walk.go_to(step);
        let after = at_the_edge(&mut walk, begin + DECIDE_WITHIN, &retriable());
        assert_eq!(kind(&after), Some(CommitErrorKind::Fatal), "{step:?}");
    }
}

#[test]
fn a_question_about_a_doubt_is_asked_again_after_any_fault() {
    for subject in [Subject::Producer, Subject::Access, Subject::Other] {
        for class in [Class::Retriable, Class::Abortable, Class::Fatal] {
            let mut walk = Walk::come_to(Step::Decide);
            walk.take(fault(class, subject));
            assert!(rests(&walk.action), "{:?}", walk.action);
            walk.take(Event::Rested);
            walk.expect(&[
                (Do(Step::Decide), Event::Done),
                (Do(Step::Decide), Event::Decided(Decision::NotCommitted)),
            ]);
            assert_eq!(kind(&walk.action), Some(CommitErrorKind::Transient));
        }
    }
}

#[test]
fn an_end_is_slow_by_its_own_time() {
    for step in [Step::Commit, Step::Abort] {
        for (took, next) in [(SLOW_END - MOMENT, Step::Begin), (SLOW_END, Step::Renew)] {
            let mut walk = Walk::opened();
            walk.start();
            walk.go_to(Step::Await);
            walk.now += SLOW_END;
            walk.go_to(step);
            walk.now += took;
            walk.action = walk.machine.next(Event::Ended { troubled: false }, walk.now);
            assert!(matches!(walk.action, Action::Finish(_)));
            walk.start();
            assert_eq!(walk.action, Do(next), "{step:?} that took {took:?}");
        }
    }
}

#[test]
fn a_transaction_is_old_by_the_time_since_it_began() {
    let clone = Some(CommitErrorKind::Fenced);
    let old = Some(CommitErrorKind::Transient);
    for (step, of_age) in [
        (Step::Init, clone),
        (Step::Begin, clone),
        (Step::SendOffsets, old),
        (Step::Produce, old),
        (Step::Await, old),
        (Step::Commit, None),
        (Step::Abort, old),
    ] {
        for (age, expected) in [(TOO_OLD - MOMENT, clone), (TOO_OLD, of_age)] {
            let mut walk = Walk::opened();
            walk.start();
            walk.expect(&[(Do(Step::Begin), fault(Class::Fatal, Subject::Other))]);
            walk.take(Event::Done);
            let mut began = walk.now;
            if step != Step::Init {
                walk.now += TOO_OLD;
                walk.go_to(Step::Begin);
                if step != Step::Begin {
                    walk.take(Event::Done);
                    began = walk.now;
                    walk.go_to(step);
                }
            }
            walk.action = walk.machine.next(fault(Class::Fatal, Subject::Producer), began + age);
            assert_eq!(kind(&walk.action), expected, "{step:?} at the age of {age:?}");
            match expected {
                None => assert_eq!(walk.action, Do(Step::Renew)),
                Some(_) => {
                    walk.start();
                    assert_eq!(walk.action, Do(Step::Renew), "{step:?}");
                }
            }
        }
    }
}

#[test]
fn new_producers_may_be_many_as_long_as_batches_are_committed() {
    let mut walk = Walk::opened();
    for round in 0..RENEWALS * 3 {
        walk.until_commit();
        walk.take(Event::Ended { troubled: true });
        walk.start();
        assert_eq!(walk.action, Do(Step::Renew), "round {round}");
        walk.go_to(Step::Abort);
        walk.take(Event::Ended { troubled: true });
        walk.start();
        walk.go_to(Step::Commit);
        walk.take(Event::Ended { troubled: false });
    }
}

#[test]
fn a_new_producer_counts_for_a_minute_and_the_very_first_never() {
    let mut walk = Walk::opened();
    for _ in 0..RENEWALS {
        walk.now += Duration::from_secs(1);
        walk.start();
        walk.go_to(Step::Abort);
        walk.take(Event::Ended { troubled: true });
        walk.start();
        assert_eq!(walk.action, Do(Step::Renew));
        walk.go_to(Step::Begin);
    }
    let oldest = walk.machine.renewals[0];
    for (now, expected) in
        [(oldest + MINUTE - MOMENT, Some(CommitErrorKind::Fatal)), (oldest + MINUTE, None)]
    {
        walk.now = now;
        walk.machine.spent = true;
        walk.start();
        assert_eq!(kind(&walk.action), expected);
    }
    assert_eq!(walk.action, Do(Step::Renew));
}
