//! The writing side of a member, and its thread: performs what [`Transaction`] says, one batch at a time.

use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::producer::Producer as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::config::KafkaConfig;
use super::direct::Direct;
use super::fault;
use super::lookup::Lookup;
use super::member::Shared;
use super::offsets::{self, Committed};
use super::producer::{self, Tally, Waited};
use super::taken::{Producer, Taking};
use crate::base::failpoint;
use crate::stream::transaction::{
    Action, Class, Event, Fault, OPEN_WITHIN, Outcome, REPEAT_WITHIN, Step, Subject, Transaction,
    decide,
};
use crate::stream::{
    Batch, CommitError, CommitErrorKind, Fence, Guarantee, LogWriter, Membership, StreamError,
    StreamErrorKind, TopicPartition,
};

/// One call of a commit: it goes on in the client when it runs out, and is taken up again.
const COMMIT_CALL: Duration = Duration::from_millis(2_500);
/// Records have 10 s; a report that comes later never comes.
const REPORTS_WITHIN: Duration = Duration::from_secs(11);

enum Job {
    Open(oneshot::Sender<Result<(), StreamError>>),
    Commit {
        membership: Option<ConsumerGroupMetadata>,
        batch: Arc<Batch>,
        reply: oneshot::Sender<Result<(), CommitError>>,
    },
}

/// Writes for a group member.
pub struct KafkaWriter {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
    /// Never joined, which would block the runtime: it ends when `jobs` is dropped.
    _thread: JoinHandle<()>,
}

impl KafkaWriter {
    /// Starts the thread and, for transactions, initialises them: that ends what a predecessor of the same name left
    /// open, so it comes before anything is read.
    pub(super) async fn open(
        config: &KafkaConfig,
        membership: &Membership,
        lookup: Arc<Lookup>,
        shared: Arc<Shared>,
    ) -> Result<Self, StreamError> {
        let (jobs, queue) = sync_channel(2);
        let mut worker: Box<dyn Worker> = match membership.guarantee {
            Guarantee::ExactlyOnce => Box::new(Committer {
                config: config.clone(),
                group: membership.group.clone(),
                id: format!("{}-{}", membership.group, membership.instance),
                machine: Transaction::new(),
                producer: None,
                shared: shared.clone(),
                started: Instant::now(),
            }),
            Guarantee::AtLeastOnce => Box::new(Direct::new(config.clone(), shared.clone())),
        };
        let common = shared.clone();
        let body = move || serve(&queue, worker.as_mut(), &common, &lookup);
        // A batch under way is carried through when the writer is dropped.
        let thread = thread::Builder::new().name("kafka-commit".to_owned()).spawn(body).map_err(
            |error| StreamError {
                kind: StreamErrorKind::Fatal,
                message: format!("no thread for writing: {error}"),
            },
        )?;
        let (reply, opened) = oneshot::channel();
        let writer = KafkaWriter { jobs, shared, _thread: thread };
        let sent = writer.jobs.try_send(Job::Open(reply));
        match sent.ok() {
            Some(()) => opened.await.unwrap_or_else(|_| Err(ended())).map(|()| writer),
            None => Err(ended()),
        }
    }
}

#[async_trait]
impl LogWriter for KafkaWriter {
    fn fence(&self) -> Fence {
        let membership: Box<dyn Any + Send> = Box::new(self.shared.group_metadata());
        Fence(membership)
    }

    async fn commit(&mut self, fence: Fence, batch: &Arc<Batch>) -> Result<(), CommitError> {
        let Ok(membership) = fence.0.downcast::<Option<ConsumerGroupMetadata>>() else {
            return Err(failed(CommitErrorKind::Fatal, "the fence is of another log"));
        };
        let (reply, done) = oneshot::channel();
        let job = Job::Commit { membership: *membership, batch: Arc::clone(batch), reply };
        if self.jobs.try_send(job).is_err() {
            return Err(failed(CommitErrorKind::Fatal, "the writer's thread ended"));
        }
        done.await
            .unwrap_or_else(|_| Err(failed(CommitErrorKind::Fatal, "the writer's thread ended")))
    }
}

/// One way to write a batch.
pub(super) trait Worker: Send {
    fn open(&mut self) -> Result<(), StreamError>;
    fn commit(
        &mut self,
        membership: Option<ConsumerGroupMetadata>,
        batch: &Batch,
    ) -> Result<(), CommitError>;
}

fn serve(queue: &Receiver<Job>, worker: &mut dyn Worker, shared: &Shared, lookup: &Lookup) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Open(reply) => {
                let _ = reply.send(worker.open());
            }
            Job::Commit { membership, batch, reply } => {
                let checked = owned(shared, &batch).and_then(|()| lookup.writable(&batch.outputs));
                let result = match checked {
                    Ok(()) if batch.outputs.is_empty() && batch.progress.is_empty() => Ok(()),
                    Ok(()) => worker.commit(membership, &batch),
                    Err(error) => Err(error),
                };
                if result.is_err() {
                    // A topic may be gone: ask again next time.
                    lookup.forget();
                }
                // Whoever waits for the reply takes it apart.
                drop(batch);
                let _ = reply.send(result);
            }
        }
    }
}

/// The fence was taken before the batch was gathered, this looks after: what left in between is seen here, what leaves
/// from now on makes the fence too old.
fn owned(shared: &Shared, batch: &Batch) -> Result<(), CommitError> {
    match batch.progress.iter().find(|(at, epoch, _)| !shared.owns(at, *epoch)) {
        None => Ok(()),
        Some((at, _, _)) => {
            Err(failed(CommitErrorKind::Stale, &format!("`{at}` is not assigned any more")))
        }
    }
}

/// Writes batches as transactions.
struct Committer {
    config: KafkaConfig,
    group: Arc<str>,
    id: String,
    machine: Transaction,
    producer: Option<Producer>,
    shared: Arc<Shared>,
    started: Instant,
}

/// One walk of the machine.
struct Walk<'b> {
    membership: Option<ConsumerGroupMetadata>,
    batch: &'b Batch,
    tally: Arc<Tally>,
    troubles: u64,
}

impl Worker for Committer {
    fn open(&mut self) -> Result<(), StreamError> {
        let action = self.machine.open(self.started.elapsed());
        let batch = Batch::default();
        let outcome = self.walk(action, None, &batch);
        if outcome != Outcome::Done {
            // Gone before anybody tries again: two of one name in one process would fence each other.
            self.producer = None;
        }
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Failed { kind, subject, message } => Err(StreamError {
                kind: match (kind, subject) {
                    (_, Subject::Access) => StreamErrorKind::Denied,
                    (CommitErrorKind::Fenced | CommitErrorKind::Fatal, _) => StreamErrorKind::Fatal,
                    _ => StreamErrorKind::Unavailable,
                },
                message: format!("transactions of `{}` can't be initialised: {message}", self.id),
            }),
        }
    }

    fn commit(
        &mut self,
        membership: Option<ConsumerGroupMetadata>,
        batch: &Batch,
    ) -> Result<(), CommitError> {
        if membership.is_none() && !batch.progress.is_empty() {
            return Err(failed(CommitErrorKind::Stale, "there is no membership to commit with"));
        }
        let action = self.machine.start(self.started.elapsed());
        match self.walk(action, membership, batch) {
            Outcome::Done => Ok(()),
            Outcome::Failed { kind, message, .. } => Err(CommitError { kind, message }),
        }
    }
}

impl Committer {
    fn walk(
        &mut self,
        mut action: Action,
        membership: Option<ConsumerGroupMetadata>,
        batch: &Batch,
    ) -> Outcome {
        let mut walk = Walk { membership, batch, tally: Arc::default(), troubles: 0 };
        loop {
            let event = match action {
                Action::Finish(outcome) => return outcome,
                Action::Pause(pause) => {
                    producer::rest(pause);
                    Event::Rested
                }
                Action::Do(Step::Renew) => self.renew(),
                Action::Do(Step::Decide) => {
                    let event = self.decide(batch);
                    tracing::info!(target: "vivremotion::kafka", ?event, "a commit was in doubt");
                    event
                }
                Action::Do(step) => match &self.producer {
                    Some(producer) => perform(producer, step, &mut walk),
                    None => Event::Failed(lost_producer()),
                },
            };
            action = self.machine.next(event, self.started.elapsed());
        }
    }

    fn renew(&mut self) -> Event {
        tracing::info!(target: "vivremotion::kafka", id = self.id, "made a transactional producer");
        // The old one first: two of one name in one process would fence each other.
        self.producer = None;
        match producer::produce_with(&self.config.transactional(&self.id), Taking::AtOnce) {
            Ok(producer) => {
                self.producer = Some(producer);
                Event::Done
            }
            Err(error) => {
                let message = fault::stream_error("transactions", &error).message;
                Event::Failed(Fault { class: Class::Fatal, subject: Subject::Other, message })
            }
        }
    }

    /// Reads what is committed and judges by it.
    fn decide(&self, batch: &Batch) -> Event {
        let places: Vec<TopicPartition> =
            batch.progress.iter().map(|(at, _, _)| at.clone()).collect();
        let client = self.config.observer(&self.group).create::<BaseConsumer>();
        let committed = client.and_then(|client| {
            let committed = offsets::committed(&client, &places);
            client.unsubscribe();
            committed
        });
        match committed {
            Ok(committed) => {
                let committed: Vec<Committed> =
                    committed.into_iter().map(|(_, committed)| committed).collect();
                let owns = |at: &TopicPartition, epoch| self.shared.owns(at, epoch);
                Event::Decided(decide(batch, &committed, owns))
            }
            Err(error) => Event::Failed(Fault {
                class: Class::Retriable,
                subject: Subject::Other,
                message: error.to_string(),
            }),
        }
    }
}

fn perform(producer: &Producer, step: Step, walk: &mut Walk<'_>) -> Event {
    let result = match step {
        Step::Init => producer.init_transactions(OPEN_WITHIN / 6),
        Step::Begin => {
            failpoint::reached("commit.before-begin");
            walk.troubles = producer.context().troubles();
            walk.tally = Arc::default();
            producer.begin_transaction()
        }
        Step::Produce => return produce(producer, walk),
        Step::Await => {
            return match walk.tally.wait(REPORTS_WITHIN) {
                Waited::Delivered => {
                    failpoint::reached("commit.delivered");
                    producer::let_go(producer);
                    Event::Done
                }
                Waited::Missing => Event::Unreported,
                Waited::Failed => match walk.tally.rejection(&walk.batch.outputs) {
                    Some(rejection) => Event::Rejected(rejection),
                    None => Event::Unreported,
                },
            };
        }
        Step::SendOffsets => {
            let progress = walk.batch.progress.iter().map(|(at, _, progress)| (at, progress));
            match (&walk.membership, offsets::progress_list(progress)) {
                (_, Ok(list)) if list.count() == 0 => Ok(()),
                (Some(membership), Ok(list)) => producer
                    .send_offsets_to_transaction(&list, membership, REPEAT_WITHIN)
                    .inspect(|()| failpoint::reached("commit.offsets-sent")),
                (_, Err(error)) => Err(error),
                (None, Ok(_)) => return Event::Failed(lost_producer()),
            }
        }
        Step::Commit | Step::Abort => {
            let ended = match step {
                Step::Commit => {
                    failpoint::reached("commit.before-end");
                    producer.commit_transaction(COMMIT_CALL)
                }
                _ => producer.abort_transaction(REPEAT_WITHIN / 2),
            };
            if ended.is_ok() && step == Step::Commit {
                failpoint::reached("commit.after-end");
            }
            // What the client has told is counted when it is taken off its queue. A connection that broke was made anew
            // since, which takes far longer than the other thread needs for that.
            producer.poll(Duration::ZERO);
            let troubled = producer.context().troubles() != walk.troubles;
            return match ended {
                Ok(()) => Event::Ended { troubled },
                Err(error) => Event::Failed(fault::fault(&error)),
            };
        }
        // The caller performs these.
        Step::Renew | Step::Decide => Ok(()),
    };
    match result {
        Ok(()) => Event::Done,
        Err(error) => Event::Failed(fault::fault(&error)),
    }
}

fn produce(producer: &Producer, walk: &Walk<'_>) -> Event {
    let deadline = Instant::now() + REPEAT_WITHIN;
    let mut next = 0;
    loop {
        match producer::hand_over(producer, &walk.batch.outputs, next, &walk.tally) {
            Err(rejection) => return Event::Rejected(rejection),
            Ok(reached) if reached == walk.batch.outputs.len() => return Event::Done,
            Ok(_) if Instant::now() >= deadline => {
                return Event::Rejected(producer::queue_full());
            }
            Ok(reached) => {
                next = reached;
                producer::rest(Duration::from_millis(1));
            }
        }
    }
}

pub(super) fn failed(kind: CommitErrorKind, message: &str) -> CommitError {
    CommitError { kind, message: message.to_owned() }
}

fn lost_producer() -> Fault {
    Fault {
        class: Class::Fatal,
        subject: Subject::Other,
        message: "there is no producer".to_owned(),
    }
}

fn ended() -> StreamError {
    StreamError { kind: StreamErrorKind::Fatal, message: "the writer's thread ended".to_owned() }
}
