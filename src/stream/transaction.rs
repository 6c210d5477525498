//! The commit cycle as a pure state machine: what happened and the time go in, what to do next comes out.
//!
//! One batch is one walk: begin, send offsets, produce, wait for every report, commit. Offsets come first: the client
//! takes up adding them again at once while the transaction before is still being ended, where it lets records rest for
//! 20 ms; and a batch of an old generation is refused before anything of it is written. It promises
//!
//! * a batch is reported done only if it was committed, and failed only if it was not (but for [`CommitErrorKind::Fatal`]
//!   and [`CommitErrorKind::Fenced`], which end the process: the next start reads what was committed);
//! * an outcome in doubt is decided by what the group's committed progress says, after a new producer has ended the
//!   old transaction (R8);
//! * a producer is not used again after a commit or an abort that failed, took nearly as long as a request may, or saw
//!   trouble with a broker, nor after offsets that got no answer: a request of that transaction may still be on its way
//!   and would be taken for one of a later transaction (R7);
//! * a transaction is aborted only when every record of it has been reported: the client can lose its state otherwise;
//! * every repetition is bounded in time, every new producer in number.
//!
//! It does no I/O and holds no clock. The Kafka member of the log performs what it says with the client library, the one
//! in memory with a model of the broker's rules.

use std::collections::VecDeque;
use std::time::Duration;

use super::CommitErrorKind;

mod doubt;
mod terms;
#[cfg(test)]
mod tests;

pub(super) use doubt::decide;
pub(super) use terms::{Action, Decision, Event, Fault, Outcome, Rejection, Subject};
pub use terms::{Class, Step};

/// Longest time that a transaction may stay open. A dead instance blocks readers of committed data no longer than this
/// plus the coordinator's sweep.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);
/// Time limit of one request.
pub(super) const SOCKET_TIMEOUT: Duration = Duration::from_secs(10);
/// A call is repeated no longer than this; half of what the coordinator gives a transaction.
pub(super) const REPEAT_WITHIN: Duration = Duration::from_millis(7_500);
/// A first start waits this long for a coordinator.
pub(super) const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// A doubt that lasts longer ends the instance: the next start decides.
const DECIDE_WITHIN: Duration = Duration::from_secs(300);
/// A transaction older than this was ended by the coordinator, not by a clone of us.
const TOO_OLD: Duration = TRANSACTION_TIMEOUT;
/// An end of a transaction that took longer, four fifths of a request's time, may have been sent twice.
const SLOW_END: Duration = Duration::from_secs(8);
/// New producers a minute without a committed batch, at most.
const RENEWALS: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The machine. One lives as long as the writer.
#[derive(Debug)]
pub(super) struct Transaction {
    /// None between walks.
    step: Option<Step>,
    /// Only to initialise, not to commit.
    opening: bool,
    /// Must not carry another transaction.
    spent: bool,
    /// Times of the new producers of the last minute, since a batch was committed; the first is no renewal.
    renewals: VecDeque<Duration>,
    first: bool,
    /// When the walk started.
    started: Duration,
    /// When the transaction began.
    began: Duration,
    /// When the step was first tried.
    entered: Duration,
    pause: Duration,
    /// What will be reported unless the batch turns out to be committed.
    failure: Option<Outcome>,
    /// A commit was sent and its outcome is not known.
    doubt: bool,
}

impl Transaction {
    /// Without a producer: the first walk makes one.
    pub(super) fn new() -> Self {
        Transaction {
            step: None,
            opening: false,
            spent: true,
            renewals: VecDeque::new(),
            first: true,
            started: Duration::ZERO,
            began: Duration::ZERO,
            entered: Duration::ZERO,
            pause: FIRST_PAUSE,
            failure: None,
            doubt: false,
        }
    }

    /// Starts a walk that only makes the producer ready, which ends what a predecessor of the same name left open.
    pub(super) fn open(&mut self, now: Duration) -> Action {
        self.opening = true;
        self.restart(now)
    }

    /// Starts the walk of a batch.
    pub(super) fn start(&mut self, now: Duration) -> Action {
        self.opening = false;
        self.restart(now)
    }

    fn restart(&mut self, now: Duration) -> Action {
        self.started = now;
        self.failure = None;
        self.doubt = false;
        if self.spent { self.renew(now) } else { self.enter(Step::Begin, now) }
    }

    /// Takes what came of the last action, says what to do next.
    pub(super) fn next(&mut self, event: Event, now: Duration) -> Action {
        let Some(step) = self.step else { return self.over() };
        match (step, event) {
            (_, Event::Rested) => Action::Do(step),
            (_, Event::Failed(fault)) => self.failed(step, fault, now),
            (Step::Renew, _) => self.enter(Step::Init, now),
            (Step::Init, _) => {
                self.spent = false;
                match (self.doubt, self.opening) {
                    (true, _) => self.enter(Step::Decide, now),
                    (false, true) => self.finish(Outcome::Done),
                    (false, false) => self.enter(Step::Begin, now),
                }
            }
            (Step::Begin, _) => {
                self.began = now;
                self.enter(Step::SendOffsets, now)
            }
            (Step::Produce | Step::Await, Event::Rejected(rejection)) => {
                self.rejected(step, rejection, now)
            }
            (Step::Produce, _) => self.enter(Step::Await, now),
            (Step::Await, Event::Unreported) => {
                // The client owes reports: its queue is in an unknown state, but nothing was committed.
                self.spent = true;
                if self.failure.is_none() {
                    let message = "records were not acknowledged in time".to_owned();
                    self.fail_with(CommitErrorKind::Transient, Subject::Other, message);
                }
                self.report()
            }
            (Step::Await, _) if self.failure.is_some() => self.enter(Step::Abort, now),
            (Step::Await, _) => self.enter(Step::Commit, now),
            (Step::SendOffsets, _) => self.enter(Step::Produce, now),
            (Step::Commit | Step::Abort, event) => {
                let troubled = matches!(event, Event::Ended { troubled: true });
                // It is ended, and known to be; but its end may have been sent twice.
                self.spent |= troubled || now.saturating_sub(self.entered) >= SLOW_END;
                if step == Step::Commit { self.committed() } else { self.report() }
            }
            (Step::Decide, Event::Decided(decision)) => self.decided(decision),
            (Step::Decide, _) => Action::Do(step),
        }
    }

    fn rejected(&mut self, step: Step, rejection: Rejection, now: Duration) -> Action {
        let Rejection { index, unwritable, subject, message } = rejection;
        if subject == Subject::Producer {
            return self.taken(step, message, now);
        }
        if unwritable {
            self.fail_with(CommitErrorKind::Unwritable(index), subject, message);
        } else if self.failure.is_none() {
            self.fail_with(CommitErrorKind::Transient, subject, message);
        }
        match step {
            // What was handed over before it must be reported before the transaction may be aborted.
            Step::Produce => self.enter(Step::Await, now),
            _ => self.enter(Step::Abort, now),
        }
    }

    fn failed(&mut self, step: Step, fault: Fault, now: Duration) -> Action {
        if fault.subject == Subject::Producer && step != Step::Decide {
            return self.taken(step, fault.message, now);
        }
        let again = fault.class == Class::Retriable && self.may_repeat(now);
        match step {
            Step::Renew => {
                self.fail_with(CommitErrorKind::Fatal, fault.subject, fault.message);
                self.report()
            }
            Step::Init => self.not_open(fault, now),
            Step::Begin if again => self.rest(),
            Step::Begin => self.renew(now),
            Step::Produce | Step::Await => {
                self.spent = true;
                self.fail_by(fault);
                self.report()
            }
            Step::SendOffsets => {
                // Without an answer they may arrive when this transaction is over, and move a later one's back.
                self.spent |= fault.class != Class::Abortable;
                if again {
                    return self.rest();
                }
                let fatal = fault.class == Class::Fatal;
                self.fail_by(fault);
                if fatal { self.report() } else { self.enter(Step::Abort, now) }
            }
            Step::Commit if again => self.rest(),
            Step::Commit => self.doubted(fault, now),
            Step::Abort if again => self.rest(),
            Step::Abort => {
                self.spent = true;
                self.report()
            }
            Step::Decide => {
                if now.saturating_sub(self.started) < DECIDE_WITHIN {
                    return self.rest();
                }
                let message = format!(
                    "it could not be told whether a batch was committed: {}",
                    fault.message
                );
                self.fail_with(CommitErrorKind::Fatal, fault.subject, message);
                self.report()
            }
        }
    }

    /// Our producer's id was used by somebody else, or the coordinator gave the transaction up for its age.
    fn taken(&mut self, step: Step, message: String, now: Duration) -> Action {
        let open = matches!(
            step,
            Step::Produce | Step::Await | Step::SendOffsets | Step::Commit | Step::Abort
        );
        self.spent = true;
        if open && now.saturating_sub(self.began) >= TOO_OLD {
            let fault = Fault { class: Class::Fatal, subject: Subject::Other, message };
            if step == Step::Commit {
                return self.doubted(fault, now);
            }
            if self.failure.is_none() {
                self.fail_by(fault);
            }
            return self.report();
        }
        let message = format!("another process runs with this instance's name: {message}");
        self.fail_with(CommitErrorKind::Fenced, Subject::Producer, message);
        self.report()
    }

    /// A commit failed: it may have been done all the same.
    fn doubted(&mut self, fault: Fault, now: Duration) -> Action {
        self.doubt = true;
        self.spent = true;
        self.fail_by(fault);
        self.renew(now)
    }

    fn not_open(&mut self, fault: Fault, now: Duration) -> Action {
        let within = if self.doubt { DECIDE_WITHIN } else { OPEN_WITHIN };
        let denied = fault.subject == Subject::Access;
        if fault.class == Class::Retriable && now.saturating_sub(self.started) < within {
            return self.rest();
        }
        if fault.class != Class::Retriable && !denied {
            return self.renew(now);
        }
        self.spent = true;
        let kind = if self.doubt { CommitErrorKind::Fatal } else { CommitErrorKind::Transient };
        self.fail_with(kind, fault.subject, fault.message);
        self.report()
    }

    fn decided(&mut self, decision: Decision) -> Action {
        self.doubt = false;
        match decision {
            Decision::Committed => return self.committed(),
            Decision::NotCommitted => {}
            Decision::NotOurs => {
                let message = "every partition of the batch was given up".to_owned();
                self.fail_with(CommitErrorKind::Stale, Subject::Membership, message);
            }
            Decision::Unknowable => {
                let message =
                    "a batch without progress is in doubt: nothing tells whether it was committed";
                self.fail_with(CommitErrorKind::Fatal, Subject::Other, message.to_owned());
            }
        }
        self.report()
    }

    fn renew(&mut self, now: Duration) -> Action {
        self.spent = true;
        while self.renewals.front().is_some_and(|at| now.saturating_sub(*at) >= MINUTE) {
            self.renewals.pop_front();
        }
        if self.renewals.len() >= RENEWALS {
            let cause = match &self.failure {
                Some(Outcome::Failed { message, .. }) => message.as_str(),
                _ => "they could not be initialised",
            };
            let message = format!("{RENEWALS} new producers within a minute, the last: {cause}");
            self.fail_with(CommitErrorKind::Fatal, Subject::Other, message);
            return self.report();
        }
        if !std::mem::take(&mut self.first) {
            self.renewals.push_back(now);
        }
        self.enter(Step::Renew, now)
    }

    fn may_repeat(&self, now: Duration) -> bool {
        now.saturating_sub(self.entered) < REPEAT_WITHIN
    }

    fn fail_by(&mut self, fault: Fault) {
        let kind = match fault.subject {
            Subject::Membership => CommitErrorKind::Stale,
            Subject::Progress => CommitErrorKind::Fatal,
            Subject::Producer | Subject::Access | Subject::Other => CommitErrorKind::Transient,
        };
        self.fail_with(kind, fault.subject, fault.message);
    }

    fn fail_with(&mut self, kind: CommitErrorKind, subject: Subject, message: String) {
        self.failure = Some(Outcome::Failed { kind, subject, message });
    }

    fn report(&mut self) -> Action {
        let outcome = self.failure.take().unwrap_or_else(|| Outcome::Failed {
            kind: CommitErrorKind::Transient,
            subject: Subject::Other,
            message: "the transaction was aborted".to_owned(),
        });
        self.finish(outcome)
    }

    /// A network that breaks again and again costs a producer each time; as long as batches get through, that is no reason
    /// to leave.
    fn committed(&mut self) -> Action {
        self.renewals.clear();
        self.finish(Outcome::Done)
    }

    fn finish(&mut self, outcome: Outcome) -> Action {
        self.step = None;
        Action::Finish(outcome)
    }

    fn rest(&mut self) -> Action {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Action::Pause(pause)
    }

    fn enter(&mut self, step: Step, now: Duration) -> Action {
        self.step = Some(step);
        self.entered = now;
        self.pause = FIRST_PAUSE;
        Action::Do(step)
    }

    /// Only a caller that goes on after the end gets here.
    fn over(&self) -> Action {
        Action::Finish(Outcome::Failed {
            kind: CommitErrorKind::Fatal,
            subject: Subject::Other,
            message: "no transaction is under way".to_owned(),
        })
    }
}
