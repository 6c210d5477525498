//! A member of a group: alone in it, so that every topic is its own from the start and nothing is ever revoked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::cursor::{Answer, Cursor, Wanted};
use super::lock::GroupLock;
use super::writer::{Desk, Writer};
use super::{append, fault, groups, records};
use crate::stream::progress::ProgressError;
use crate::stream::{
    Assignment, Batch, CommitError, CommitErrorKind, Delivery, Epoch, Fence, LogReader, LogWriter,
    Membership, OnCorruptProgress, Progress, Record, StreamError, StreamErrorKind, TopicPartition,
};

/// What a member found when it joined.
pub(super) struct Joined {
    /// The topics that were assigned, with their numbers in the file.
    assigned: Vec<(i64, Assignment)>,
    /// One for each topic whose progress can't be read: it stands still, the others go on.
    stopped: Vec<StreamError>,
}

/// Becomes the group's engine in the file, and finds where each topic goes on.
pub(super) async fn enter(
    writer: &Writer,
    membership: &Membership,
    id: u128,
) -> Result<Joined, StreamError> {
    let membership = membership.clone();
    let entered = writer.write(0, move |desk| find_starts(desk, &membership, id)).await;
    entered.map_err(fault::stream)?
}

fn find_starts(
    desk: &mut Desk<'_>,
    membership: &Membership,
    id: u128,
) -> rusqlite::Result<Result<Joined, StreamError>> {
    let file = desk.transaction;
    let group = &*membership.group;
    let mut found = Vec::with_capacity(membership.topics.len());
    let mut stopped = Vec::new();
    for (topic, from) in &membership.topics {
        let Some(row) = desk.topics.find(file, topic)? else {
            return Ok(Err(fault::unknown_topic(topic)));
        };
        let committed = groups::committed(file, group, row.id)?;
        let resumed = committed.is_some();
        let progress = match committed {
            None => Progress::starting_at(records::resolve(file, row.id, *from)?),
            Some((base, text)) => match Progress::decode(base, &text) {
                Ok(progress) => progress,
                Err(_) if membership.on_corrupt_progress == OnCorruptProgress::Replay => {
                    Progress::known_by_offset(base)
                }
                Err(error) => {
                    stopped.push(corrupt(group, topic, &error));
                    continue;
                }
            },
        };
        found.push((row.id, topic.clone(), progress, resumed, records::high(file, row.id)?));
    }
    let epoch = Epoch(groups::enter(file, group, id)?);
    let mut assigned = Vec::with_capacity(found.len());
    for (topic_id, topic, progress, resumed, end) in found {
        if !resumed {
            // A start is resolved once: `latest` must not skip what comes between a first start and a crash.
            groups::commit(file, group, topic_id, progress.base, &progress.encode())?;
        }
        let at = TopicPartition { topic, partition: 0 };
        let tenure = Arc::default();
        assigned.push((topic_id, Assignment { at, epoch, progress, resumed, end, tenure }));
    }
    Ok(Ok(Joined { assigned, stopped }))
}

/// A committed progress that can't be read.
pub(super) fn corrupt(group: &str, topic: &str, error: &ProgressError) -> StreamError {
    let message = format!(
        "the progress of group `{group}` in `{topic}` can't be read: {error}. To run finished events again from the \
         committed offset, set `on_corrupt_progress: replay`"
    );
    StreamError { kind: StreamErrorKind::CorruptProgress, message }
}

/// What reader and writer of a member share.
struct Seat {
    group: Arc<str>,
    id: u128,
    held: Mutex<Held>,
}

struct Held {
    /// None once the member has left.
    lock: Option<GroupLock>,
    topics: HashMap<TopicPartition, (i64, Epoch)>,
}

impl Seat {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two handles of a member.
pub(super) fn pair(
    group: &Arc<str>,
    id: u128,
    lock: GroupLock,
    Joined { assigned, stopped }: Joined,
    cursor: Cursor,
    writer: Writer,
) -> (Reader, Committer) {
    let topics = assigned
        .iter()
        .map(|(topic, assignment)| (assignment.at.clone(), (*topic, assignment.epoch)))
        .collect();
    let held = Mutex::new(Held { lock: Some(lock), topics });
    let seat = Arc::new(Seat { group: group.clone(), id, held });
    let parts = assigned
        .iter()
        .map(|(topic, assignment)| Part {
            wanted: Wanted {
                at: assignment.at.clone(),
                topic: *topic,
                from: assignment.progress.base,
            },
            paused: false,
        })
        .collect();
    let assigned = assigned.into_iter().map(|(_, assignment)| Ok(Delivery::Assigned(assignment)));
    let first = assigned.chain(stopped.into_iter().map(Err)).collect();
    let reader = Reader { seat: seat.clone(), first, parts, cursor, waiting: None };
    (reader, Committer { seat, writer })
}

struct Part {
    wanted: Wanted,
    paused: bool,
}

/// The reading side.
pub(super) struct Reader {
    seat: Arc<Seat>,
    /// What joining has brought, not delivered yet.
    first: VecDeque<Result<Delivery, StreamError>>,
    parts: Vec<Part>,
    cursor: Cursor,
    waiting: Option<Answer>,
}

impl Reader {
    fn ask(&mut self) -> Answer {
        // In turn, or one full topic would keep the others waiting.
        if !self.parts.is_empty() {
            self.parts.rotate_left(1);
        }
        let flowing = self.parts.iter().filter(|part| !part.paused);
        self.cursor.ask(flowing.map(|part| part.wanted.clone()).collect())
    }

    /// Leaves out what was paused or released since it was asked for: it is read again when it flows again.
    fn accept(&mut self, mut records: Vec<Record>) -> Vec<Record> {
        records.retain(|record| {
            let part = self.parts.iter_mut().find(|part| part.wanted.at == record.at);
            match part.filter(|part| !part.paused && part.wanted.from <= record.offset) {
                Some(part) => {
                    part.wanted.from = record.offset + 1;
                    true
                }
                None => false,
            }
        });
        records
    }
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self) -> Result<Delivery, StreamError> {
        if let Some(delivery) = self.first.pop_front() {
            return delivery;
        }
        if self.seat.held().lock.is_none() {
            let message = "the member has left its group".to_owned();
            return Err(StreamError { kind: StreamErrorKind::Fatal, message });
        }
        loop {
            if self.waiting.is_none() {
                self.waiting = Some(self.ask());
            }
            let Some(answer) = &mut self.waiting else { continue };
            let answer = answer.await.unwrap_or_else(|_| Err(fault::closed()));
            self.waiting = None;
            let records = self.accept(answer.map_err(fault::stream)?);
            if !records.is_empty() {
                return Ok(Delivery::Records(records));
            }
        }
    }

    fn pause(&mut self, at: &TopicPartition, paused: bool) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.wanted.at == *at) {
            // One that flows again is not in the request that is under way.
            if part.paused && !paused {
                self.waiting = None;
            }
            part.paused = paused;
        }
    }

    fn release(&mut self, at: &TopicPartition, epoch: Epoch) {
        let mut held = self.seat.held();
        if held.topics.get(at).is_some_and(|(_, live)| *live == epoch) {
            held.topics.remove(at);
            self.parts.retain(|part| part.wanted.at != *at);
        }
    }

    async fn close(&mut self, within: Duration) -> Result<(), StreamError> {
        {
            let mut held = self.seat.held();
            held.topics.clear();
            held.lock = None;
        }
        self.first.clear();
        self.parts.clear();
        self.waiting = None;
        // It ends by itself if it is late; nobody reads for the group any more in either case.
        drop(tokio::time::timeout(within, self.cursor.close()).await);
        Ok(())
    }
}

/// The writing side.
pub(super) struct Committer {
    seat: Arc<Seat>,
    writer: Writer,
}

#[async_trait]
impl LogWriter for Committer {
    fn fence(&self) -> Fence {
        Fence(Box::new(self.seat.id))
    }

    async fn commit(&mut self, fence: Fence, batch: &Arc<Batch>) -> Result<(), CommitError> {
        let refuse = |kind, message: &str| Err(CommitError { kind, message: message.to_owned() });
        if fence.0.downcast_ref() != Some(&self.seat.id) {
            return refuse(CommitErrorKind::Stale, "the fence is of another membership");
        }
        let mut progress = Vec::with_capacity(batch.progress.len());
        {
            let held = self.seat.held();
            if held.lock.is_none() {
                return refuse(CommitErrorKind::Fatal, "the member has left its group");
            }
            for (at, epoch, new) in &batch.progress {
                match held.topics.get(at) {
                    Some((topic, live)) if live == epoch => {
                        progress.push((*topic, new.base, new.encode()));
                    }
                    _ => return refuse(CommitErrorKind::Stale, &format!("{at} was given up")),
                }
            }
        }
        let (group, id) = (self.seat.group.clone(), self.seat.id);
        let rows = append::pack(&batch.outputs);
        let bytes = append::size(&rows);
        let written = self.writer.write(bytes, move |desk| {
            if !groups::is_member(desk.transaction, &group, id)? {
                return Ok(Err(CommitError {
                    kind: CommitErrorKind::Fenced,
                    message: format!("another engine reads for group `{group}` now"),
                }));
            }
            if let Err(refused) = append::append(desk, &rows)? {
                return Ok(Err(CommitError {
                    kind: CommitErrorKind::Unwritable(Some(refused.index)),
                    message: refused.message,
                }));
            }
            for (topic, base, text) in &progress {
                groups::commit(desk.transaction, &group, *topic, *base, text)?;
            }
            Ok(Ok(()))
        });
        written.await.map_err(fault::commit)?
    }
}
