//! Partitions come: read what was committed, resolve a first start, and only then let records flow.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::fault;
use super::offsets::{self, Committed};
use super::poll::{Held, Poll};
use crate::stream::transaction::Subject;
use crate::stream::{
    Assignment, Delivery, From, OnCorruptProgress, Progress, StreamError, StreamErrorKind,
    TopicPartition,
};

#[cfg(test)]
mod tests;

/// Between two tries of a call that failed.
const AGAIN: Duration = Duration::from_millis(50);
/// A partition that can't be opened is told of this often.
const TELL: Duration = Duration::from_secs(10);

/// Whether the group no longer knows us by what we say.
fn is_out(code: RDKafkaErrorCode) -> bool {
    // A rebalance under way is none of these: the group waits for us.
    code != RDKafkaErrorCode::RebalanceInProgress && fault::subject_of(code) == Subject::Membership
}

/// Where the client is to start: the offsets that were read together with the done sets. With any other it would ask the
/// group for them a second time, when they may have changed (R3).
fn starts(opened: &[Opened]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(opened.len().max(1));
    for one in opened {
        let offset = Offset::Offset(one.progress.base);
        list.add_partition_offset(&one.at.topic, one.at.partition, offset)?;
    }
    Ok(list)
}

/// A partition that is ready to be read.
struct Opened {
    at: TopicPartition,
    progress: Progress,
    resumed: bool,
    end: i64,
}

impl Poll {
    /// Answers an assignment. Offset and progress of each partition come from one fetch of stable offsets, and the
    /// client is told to start there: it never asks for the start a second time (R3).
    pub(super) fn assign(&mut self, partitions: &[TopicPartition]) {
        let since = Instant::now();
        let Some(opened) = self.open(partitions) else { return };
        // The client's log tells whether the session survived all this.
        self.gather();
        if self.after.is_some() {
            return;
        }
        if self.note_expiry() || since.elapsed() >= self.session {
            return self.come_back();
        }
        let list = match starts(&opened) {
            Ok(list) => list,
            Err(error) => return self.refused(&error),
        };
        // Even an empty answer is an answer.
        if let Err(error) = self.consumer.incremental_assign(&list) {
            return self.refused(&error);
        }
        if !opened.is_empty()
            && let Err(error) = self.consumer.resume(&list)
        {
            self.report(&error);
        }
        for Opened { at, progress, resumed, end } in opened {
            let epoch = self.next_epoch();
            self.shared.forget(&at);
            self.shared.own(&at, epoch);
            let tenure = self.tenure();
            self.assigned.insert(at.clone(), Held { epoch, tenure: Arc::clone(&tenure) });
            self.placed.insert(at.clone());
            let assignment = Assignment { at, epoch, progress, resumed, end, tenure };
            self.deliver(Ok(Delivery::Assigned(assignment)));
        }
    }

    /// Reads and resolves until it works. None when it is no longer wanted: the reader closes, or the group has moved on.
    fn open(&mut self, partitions: &[TopicPartition]) -> Option<Vec<Opened>> {
        if partitions.is_empty() {
            return Some(Vec::new());
        }
        let mut told = Instant::now();
        loop {
            let error = match self.try_open(partitions) {
                Ok(opened) => return Some(opened),
                Err(error) => error,
            };
            let code = error.rdkafka_error_code();
            if code.is_some_and(is_out) {
                self.join_anew();
                return None;
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                let mut failure = fault::stream_error("reading the committed progress", &error);
                if failure.kind == StreamErrorKind::Fatal {
                    failure.kind = StreamErrorKind::Unavailable;
                }
                self.deliver(Err(failure));
            }
            // What makes it fail for good shows up here.
            self.gather();
            if self.after.is_some() || self.shared.closing() || self.is_spent() {
                return None;
            }
            thread::park_timeout(AGAIN);
        }
    }

    fn try_open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Opened>, KafkaError> {
        let committed = offsets::committed(&self.consumer, partitions)?;
        let places: Vec<&TopicPartition> = committed.iter().map(|(at, _)| at).collect();
        let ends = offsets::ends(&self.consumer, &places)?;
        let fresh: Vec<(TopicPartition, From)> = committed
            .iter()
            .filter(|(_, committed)| committed.is_none())
            .map(|(at, _)| (at.clone(), self.from(at)))
            .collect();
        let starts = offsets::starts(&self.consumer, &fresh)?;
        let first: Vec<Progress> = starts.into_iter().map(Progress::starting_at).collect();
        if !first.is_empty() {
            // Or a crash before the first commit would let `latest` skip what came in between.
            let places = fresh.iter().map(|(at, _)| at).zip(&first);
            let list = offsets::progress_list(places)?;
            self.consumer.commit(&list, CommitMode::Sync)?;
        }
        let mut first = first.into_iter();
        let mut opened = Vec::with_capacity(committed.len());
        for ((at, committed), end) in committed.into_iter().zip(ends) {
            let resumed = committed.is_some();
            let progress = match committed {
                Some(_) => self.read(&at, committed),
                None => first.next(),
            };
            if let Some(progress) = progress {
                opened.push(Opened { at, progress, resumed, end });
            }
        }
        Ok(opened)
    }

    /// The progress of a partition; none when it can't be read and the partition must stop.
    fn read(&mut self, at: &TopicPartition, committed: Committed) -> Option<Progress> {
        let (base, text) = committed?;
        match Progress::decode(base, &text) {
            Ok(progress) => Some(progress),
            Err(error) => match self.membership.on_corrupt_progress {
                OnCorruptProgress::Replay => Some(Progress::known_by_offset(base)),
                OnCorruptProgress::Fail => {
                    self.deliver(Err(StreamError {
                        kind: StreamErrorKind::CorruptProgress,
                        message: format!(
                            "the progress of `{at}` in group `{}` can't be read: {error}. Put back what was committed \
                             before, or set `on_corrupt_progress: replay` to run from the committed offset what may be \
                             finished already",
                            self.membership.group
                        ),
                    }));
                    None
                }
            },
        }
    }

    fn from(&self, at: &TopicPartition) -> From {
        let mut topics = self.membership.topics.iter();
        topics.find(|(topic, _)| *topic == at.topic).map_or(From::Earliest, |(_, from)| *from)
    }
}
