//! The coordinator of transactions, by Kafka's rules as an older client meets them: an end of a transaction names its
//! producer and epoch, not the transaction, so one that comes late ends whatever that producer has open by then. Only a
//! new epoch keeps it out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::state::State;
use crate::stream::transaction::TRANSACTION_TIMEOUT;
use crate::stream::{Epoch, Output, Progress, TopicPartition};

/// Who writes under a transactional id.
#[derive(Default)]
pub(super) struct Producer {
    pub epoch: u64,
    last: Last,
    open: Option<Open>,
}

/// What became of the transaction before.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    #[default]
    None,
    Committed,
    Aborted,
}

/// A transaction under way.
struct Open {
    number: u64,
    began: Instant,
    touched: BTreeSet<TopicPartition>,
}

/// Who speaks: a transactional id, and the epoch that its producer was given.
#[derive(Clone)]
pub(super) struct Speaker {
    pub id: Arc<str>,
    pub epoch: u64,
}

/// The membership that offsets are sent with.
#[derive(Clone)]
pub(super) struct Seat {
    pub group: Arc<str>,
    pub member: u64,
    pub generation: Option<u64>,
}

/// Offsets of a batch.
pub(super) type Offsets = Vec<(TopicPartition, Epoch, Progress)>;

/// Why a request was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A newer producer has the id, or the transaction was too old.
    Fenced,
    /// There is no such transaction to go on with or to end.
    State,
    /// The group has moved on.
    Membership,
    /// A defect of the caller that a broker would not notice, made loud.
    Defect(String),
}

/// A request that gets there later.
pub(super) struct Later {
    pub at: Instant,
    pub what: Request,
}

/// What can come late.
#[derive(Clone)]
pub(super) enum Request {
    End { speaker: Speaker, commit: bool },
    Offsets { speaker: Speaker, seat: Seat, offsets: Offsets },
}

impl State {
    /// A producer presents itself: what one before it left open is aborted, and its epoch is over.
    pub fn init(&mut self, id: &Arc<str>) -> Speaker {
        self.end_open(id, false);
        let producer = self.producers.entry(id.clone()).or_default();
        producer.epoch += 1;
        producer.last = Last::None;
        Speaker { id: id.clone(), epoch: producer.epoch }
    }

    /// Writes records into the transaction. `first` says that the client takes it for its first request.
    pub fn produce(
        &mut self,
        speaker: &Speaker,
        first: bool,
        outputs: &[Output],
        now: i64,
    ) -> Result<(), Refused> {
        let number = self.enter(speaker, first)?;
        let touched = self.append(outputs.to_vec(), now, Some(number));
        if let Some(open) = self.producers.get_mut(&speaker.id).and_then(|p| p.open.as_mut()) {
            open.touched.extend(touched.into_iter().map(|(at, _)| at));
        }
        Ok(())
    }

    /// Adds offsets to the transaction. Nobody checks whether the partitions are the member's.
    pub fn send_offsets(
        &mut self,
        speaker: &Speaker,
        first: bool,
        seat: &Seat,
        offsets: &Offsets,
    ) -> Result<(), Refused> {
        self.check(seat, offsets)?;
        self.take_offsets(speaker, first, seat, offsets)
    }

    /// What a broker would not notice: a fence of this generation was taken by a member that knew better, or the member
    /// forgot what it had done.
    fn check(&self, seat: &Seat, offsets: &Offsets) -> Result<(), Refused> {
        let Some(group) = self.groups.get(&seat.group) else { return Err(Refused::Membership) };
        if !group.has(seat.member) || seat.generation != Some(group.generation) {
            return Err(Refused::Membership);
        }
        for (at, epoch, progress) in offsets {
            let owner = group.owners.get(at);
            if !owner.is_some_and(|owner| owner.member == seat.member && owner.epoch == *epoch) {
                let message = format!("{at} is committed under an assignment that has ended");
                return Err(Refused::Defect(message));
            }
            if group.committed.get(at).is_some_and(|(base, _)| *base > progress.base) {
                return Err(Refused::Defect(format!("the base of {at} moved back")));
            }
        }
        Ok(())
    }

    fn take_offsets(
        &mut self,
        speaker: &Speaker,
        first: bool,
        seat: &Seat,
        offsets: &Offsets,
    ) -> Result<(), Refused> {
        let number = self.enter(speaker, first)?;
        let Some(group) = self.groups.get_mut(&seat.group) else { return Err(Refused::Membership) };
        if !group.has(seat.member) || seat.generation != Some(group.generation) {
            return Err(Refused::Membership);
        }
        for (at, _, progress) in offsets {
            let pending = group.pending.entry(at.clone()).or_default();
            pending.push((number, progress.base, progress.encode()));
        }
        Ok(())
    }

    /// Ends what the producer has open, whichever transaction that is.
    pub fn end(&mut self, speaker: &Speaker, commit: bool) -> Result<(), Refused> {
        let last = if commit { Last::Committed } else { Last::Aborted };
        let producer = self.known(speaker)?;
        if producer.open.is_none() {
            return if producer.last == last { Ok(()) } else { Err(Refused::State) };
        }
        producer.last = last;
        self.end_open(&speaker.id, commit);
        Ok(())
    }

    /// Lets in what is due to arrive, ends transactions that are too old, and removes members that have been silent for
    /// a session.
    pub fn pass_time(&mut self, now: Instant, session: Duration) {
        let (due, rest): (Vec<Later>, Vec<Later>) =
            std::mem::take(&mut self.later).into_iter().partition(|later| later.at <= now);
        self.later = rest;
        for Later { what, .. } in due {
            // Whatever it says, nobody hears it.
            drop(match what {
                Request::End { speaker, commit } => self.end(&speaker, commit),
                Request::Offsets { speaker, seat, offsets } => {
                    self.take_offsets(&speaker, false, &seat, &offsets)
                }
            });
        }
        let old = |producer: &Producer| {
            let began = producer.open.as_ref().map(|open| open.began);
            began.is_some_and(|began| now.duration_since(began) >= TRANSACTION_TIMEOUT)
        };
        let ids: Vec<Arc<str>> =
            self.producers.iter().filter(|(_, p)| old(p)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.end_open(&id, false);
            if let Some(producer) = self.producers.get_mut(&id) {
                producer.epoch += 1;
                producer.last = Last::None;
            }
        }
        let names: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for name in names {
            if let Some(group) = self.groups.get_mut(&name) {
                group.bury(now, session);
            }
            self.assign(&name);
        }
    }

    /// Every process is gone, and with it what it had open.
    pub fn end_all(&mut self) {
        self.later.clear();
        let ids: Vec<Arc<str>> = self.producers.keys().cloned().collect();
        for id in ids {
            self.init(&id);
        }
    }

    /// Transactions under way.
    pub fn open(&self) -> usize {
        self.producers.values().filter(|producer| producer.open.is_some()).count()
    }

    fn known(&mut self, speaker: &Speaker) -> Result<&mut Producer, Refused> {
        let producer = self.producers.get_mut(&speaker.id);
        producer.filter(|producer| producer.epoch == speaker.epoch).ok_or(Refused::Fenced)
    }

    /// The transaction that a request belongs to.
    fn enter(&mut self, speaker: &Speaker, first: bool) -> Result<u64, Refused> {
        let next = self.transactions + 1;
        let producer = self.known(speaker)?;
        match (&producer.open, first) {
            (Some(open), _) => Ok(open.number),
            // The client added its partitions to a transaction that somebody has ended since.
            (None, false) => Err(Refused::State),
            (None, true) => {
                let touched = BTreeSet::new();
                producer.open = Some(Open { number: next, began: Instant::now(), touched });
                self.transactions = next;
                Ok(next)
            }
        }
    }

    fn end_open(&mut self, id: &str, commit: bool) {
        let open = self.producers.get_mut(id).and_then(|producer| producer.open.take());
        let Some(Open { number, touched, .. }) = open else { return };
        for at in &touched {
            let marks = self.weather.is_some();
            if let Some(partition) = self.partition_mut(at) {
                partition.end(number, commit, marks);
            }
        }
        let names: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for name in names {
            if let Some(group) = self.groups.get_mut(&name)
                && group.end(number, commit)
            {
                self.assign(&name);
            }
        }
    }
}
