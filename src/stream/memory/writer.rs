//! A member of a group: its writing side. It performs what the commit cycle says with a model of the broker.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::broker::{Later, Offsets, Refused, Request, Seat, Speaker};
use super::log::Shared;
use super::weather::{Luck, Meets};
use crate::stream::transaction::{
    Action, Class, Event, Fault, Outcome, Rejection, Step, Subject, Transaction, decide,
};
use crate::stream::{
    Batch, CommitError, CommitErrorKind, Fence, LogWriter, StreamError, StreamErrorKind,
    TopicPartition,
};

/// The writing side.
pub(super) struct Committer {
    shared: Arc<Shared>,
    group: Arc<str>,
    instance: Arc<str>,
    /// Transactional id.
    id: Arc<str>,
    member: u64,
    machine: Transaction,
    speaker: Option<Speaker>,
}

/// One walk of the machine.
struct Walk<'b> {
    batch: &'b Batch,
    generation: Option<u64>,
    /// The client has not told the coordinator of the transaction yet.
    first: bool,
    /// A connection was lost since the transaction began.
    troubled: bool,
}

impl Committer {
    /// Initialises transactions, which ends what a predecessor of the same name left open.
    pub async fn open(
        shared: Arc<Shared>,
        group: Arc<str>,
        instance: Arc<str>,
    ) -> Result<Committer, StreamError> {
        let id = format!("{group}-{instance}").into();
        let machine = Transaction::new();
        let mut committer =
            Committer { shared, group, instance, id, member: 0, machine, speaker: None };
        let action = committer.machine.open(committer.shared.elapsed());
        match committer.walk(action, None, &Batch::default()).await {
            Outcome::Done => Ok(committer),
            Outcome::Failed { kind, message, .. } => Err(StreamError {
                kind: match kind {
                    CommitErrorKind::Fenced | CommitErrorKind::Fatal => StreamErrorKind::Fatal,
                    _ => StreamErrorKind::Unavailable,
                },
                message,
            }),
        }
    }

    /// Of that member from now on.
    pub fn of(self, member: u64) -> Committer {
        Committer { member, ..self }
    }

    async fn walk(
        &mut self,
        mut action: Action,
        generation: Option<u64>,
        batch: &Batch,
    ) -> Outcome {
        let mut walk = Walk { batch, generation, first: true, troubled: false };
        loop {
            let event = match action {
                Action::Finish(outcome) => return outcome,
                Action::Pause(pause) => {
                    tokio::time::sleep(pause).await;
                    Event::Rested
                }
                Action::Do(step) => self.meet(step, &mut walk).await,
            };
            action = self.machine.next(event, self.shared.elapsed());
        }
    }

    /// A call on its way there and back.
    async fn meet(&mut self, step: Step, walk: &mut Walk<'_>) -> Event {
        let meets = match &mut self.shared.state().weather {
            // What never leaves the process meets nothing.
            Some(weather) if !matches!(step, Step::Renew | Step::Begin) => {
                weather.meets(&self.instance, step)
            }
            _ => Meets::CLEAR,
        };
        if !meets.takes.is_zero() {
            tokio::time::sleep(meets.takes).await;
        }
        walk.troubled |= !matches!(meets.luck, Luck::Passes | Luck::Twice(_, false));
        let event = match meets.luck {
            Luck::Passes => self.perform(step, walk),
            Luck::Lost(class) => failed(class),
            Luck::Unanswered(class) => match self.perform(step, walk) {
                Event::Done | Event::Ended { .. } => failed(class),
                refused => refused,
            },
            Luck::Late(class, after) => {
                self.send_later(step, walk, after);
                failed(class)
            }
            Luck::Twice(after, _) => {
                self.send_later(step, walk, after);
                self.perform(step, walk)
            }
            Luck::Dies => {
                if step == Step::Produce {
                    let half = walk.batch.outputs.len() / 2;
                    let outputs = walk.batch.outputs.iter().take(half).cloned().collect();
                    let batch = Batch { outputs, progress: Vec::new() };
                    drop(self.perform(step, &mut Walk { batch: &batch, ..*walk }));
                }
                return std::future::pending().await;
            }
            Luck::DiesAfter => {
                drop(self.perform(step, walk));
                return std::future::pending().await;
            }
        };
        self.shared.changed.notify_waiters();
        event
    }

    fn send_later(&self, step: Step, walk: &Walk<'_>, after: Duration) {
        let Some(speaker) = self.speaker.clone() else { return };
        let what = match step {
            Step::Commit | Step::Abort => Request::End { speaker, commit: step == Step::Commit },
            Step::SendOffsets => {
                let offsets = walk.batch.progress.clone();
                Request::Offsets { speaker, seat: self.seat(walk.generation), offsets }
            }
            _ => return,
        };
        self.shared.state().later.push(Later { at: Instant::now() + after, what });
    }

    fn seat(&self, generation: Option<u64>) -> Seat {
        Seat { group: self.group.clone(), member: self.member, generation }
    }

    /// What the broker does about a call, and what the client makes of its answer.
    fn perform(&mut self, step: Step, walk: &mut Walk<'_>) -> Event {
        let mut state = self.shared.state();
        let Some(speaker) = self.speaker.clone().filter(|_| step != Step::Init) else {
            if step == Step::Init {
                self.speaker = Some(state.init(&self.id));
            }
            return Event::Done;
        };
        let done = match step {
            Step::Renew | Step::Init | Step::Begin => {
                (walk.first, walk.troubled) = (true, false);
                Ok(())
            }
            Step::Produce => {
                let outputs = &walk.batch.outputs;
                // What can't be written shows when the reports come.
                if outputs.is_empty() || state.unwritable(outputs).is_some() {
                    return Event::Done;
                }
                let now = self.shared.clock.now();
                let done = state.produce(&speaker, walk.first, outputs, now);
                walk.first = false;
                done
            }
            Step::Await => {
                let Some((index, error)) = state.unwritable(&walk.batch.outputs) else {
                    return Event::Done;
                };
                let named = state.weather.as_mut().is_none_or(|weather| weather.names_the_bad());
                return Event::Rejected(Rejection {
                    index: named.then_some(index),
                    unwritable: true,
                    subject: Subject::Other,
                    message: error.message,
                });
            }
            Step::SendOffsets => {
                let offsets: &Offsets = &walk.batch.progress;
                let seat = self.seat(walk.generation);
                let done = state.send_offsets(&speaker, walk.first, &seat, offsets);
                walk.first = false;
                done
            }
            // A transaction that nothing was sent in is ended without a word.
            Step::Commit | Step::Abort if walk.first => {
                return Event::Ended { troubled: walk.troubled };
            }
            Step::Commit | Step::Abort => {
                return match state.end(&speaker, step == Step::Commit) {
                    Ok(()) => Event::Ended { troubled: walk.troubled },
                    Err(refused) => Event::Failed(fault(refused)),
                };
            }
            Step::Decide => {
                let Some(group) = state.groups.get(&self.group) else {
                    return failed(Class::Retriable);
                };
                if walk.batch.progress.iter().any(|(at, _, _)| group.pending.contains_key(at)) {
                    return failed(Class::Retriable);
                }
                let committed: Vec<Option<(i64, String)>> = walk
                    .batch
                    .progress
                    .iter()
                    .map(|(at, _, _)| group.committed.get(at).cloned())
                    .collect();
                let owns = |at: &TopicPartition, epoch| {
                    let owner = group.owners.get(at);
                    owner.is_some_and(|o| o.member == self.member && o.epoch == epoch)
                };
                return Event::Decided(decide(walk.batch, &committed, owns));
            }
        };
        match done {
            Ok(()) => Event::Done,
            Err(refused) => Event::Failed(fault(refused)),
        }
    }
}

#[async_trait]
impl LogWriter for Committer {
    fn fence(&self) -> Fence {
        let state = self.shared.state();
        let group = state.groups.get(&self.group);
        Fence(Box::new(group.and_then(|group| group.known_generation(self.member))))
    }

    async fn commit(&mut self, fence: Fence, batch: &Arc<Batch>) -> Result<(), CommitError> {
        let takes = self.shared.state().commit_takes;
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        if let Some(kind) = self.shared.state().failures.pop_front() {
            let message = "this commit was told to fail".to_owned();
            return Err(CommitError { kind, message });
        }
        let generation = fence.0.downcast_ref::<Option<u64>>().copied().flatten();
        let action = self.machine.start(self.shared.elapsed());
        let outcome = self.walk(action, generation, batch).await;
        self.shared.changed.notify_waiters();
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Failed { kind, message, .. } => Err(CommitError { kind, message }),
        }
    }
}

fn failed(class: Class) -> Event {
    let message = "bad weather".to_owned();
    Event::Failed(Fault { class, subject: Subject::Other, message })
}

/// As a client tells it.
fn fault(refused: Refused) -> Fault {
    let (class, subject, message) = match refused {
        Refused::Fenced => {
            (Class::Fatal, Subject::Producer, "a newer producer has the id".to_owned())
        }
        Refused::State => (Class::Fatal, Subject::Other, "there is no such transaction".to_owned()),
        Refused::Membership => {
            (Class::Abortable, Subject::Membership, "the group has moved on".to_owned())
        }
        Refused::Defect(message) => (Class::Fatal, Subject::Progress, message),
    };
    Fault { class, subject, message }
}
