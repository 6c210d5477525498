//! What an audit is told: one decoded record each, reduced to what the checks ask for.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::calls::Call;
use crate::event::identity::Origin;
use crate::event::ids::EventId;
use crate::event::money::Money;
use crate::stream::Record;

/// The place of a record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Spot {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

impl Spot {
    /// Where a record stands.
    pub fn of(record: &Record) -> Self {
        let at = &record.at;
        Spot { topic: Arc::clone(&at.topic), partition: at.partition, offset: record.offset }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

/// What an input record must leave behind, once it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// One result: completed, or failed and then with a dead letter.
    Result,
    /// At most one: whether a completed one is wanted can't be told from outside.
    Perhaps,
    /// A dead letter only.
    Letter,
    /// Nothing.
    Nothing,
}

/// A record of the source.
#[derive(Clone, Debug)]
pub struct Input {
    /// Where it stands.
    pub spot: Spot,
    /// Which event it is.
    pub event: EventId,
    /// Whether it brings an event back that was here before.
    pub replay: bool,
    /// Of the record, milliseconds since the epoch.
    pub timestamp: i64,
    /// What it must leave behind.
    pub due: Due,
    /// Digest of key and value: its dead letter has the same.
    pub bytes: u64,
    /// Digest of the answer that it must get, for whoever knows it ([`Answer::content`]).
    pub answer: Option<u64>,
}

/// How a result says its event ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Well.
    Completed,
    /// Not well.
    Failed,
}

/// A result, or the user's own value in its place.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where it stands.
    pub spot: Spot,
    /// The event that it answers.
    pub event: EventId,
    /// Where that came from.
    pub origin: Origin,
    /// Whether it answers a replay.
    pub replay: bool,
    /// How the event ended.
    pub status: Status,
    /// Digest of the key, if there is one.
    pub key: Option<u64>,
    /// What it says the event cost, and its calls without a price; none where the value is the user's own.
    pub total: Option<(Money, i64)>,
    /// Digest of its outputs.
    pub content: u64,
    /// What in it does not fit together.
    pub wrong: Option<String>,
}

/// A dead letter.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Where it stands.
    pub spot: Spot,
    /// The event.
    pub event: EventId,
    /// Where that came from.
    pub origin: Origin,
    /// Partition and offset of the record that failed: elsewhere than the origin for a replay.
    pub input: (i32, i64),
    /// Digest of the key, if there is one.
    pub key: Option<u64>,
    /// Digest of key and value; none where the topic did not take all of the record.
    pub bytes: Option<u64>,
}

impl Letter {
    /// Whether it was a replay that failed.
    pub fn replay(&self) -> bool {
        self.input != (self.origin.partition, self.origin.offset)
    }
}

/// A cost event.
#[derive(Clone, Debug)]
pub struct Charge {
    /// Where it stands.
    pub spot: Spot,
    /// The event.
    pub event: EventId,
    /// Where that came from.
    pub origin: Origin,
    /// Id of the attempt, or of the adjustment.
    pub attempt: Uuid,
    /// The attempt that an adjustment corrects.
    pub adjusts: Option<Uuid>,
    /// A delta; none when the price is not known.
    pub amount: Option<Money>,
    /// Whether it is a ceiling, because the call's outcome is not known.
    pub unsettled: bool,
    /// Whose call it was: `event/stage[/item]`, as the provider was told in the idempotency key.
    pub call: String,
    /// Tokens asked and answered, all parts together; none for what has none.
    pub tokens: Option<(u64, u64)>,
}

/// A record that a `publish` stage wrote.
#[derive(Clone, Debug)]
pub struct Published {
    /// Where it stands.
    pub spot: Spot,
    /// The event.
    pub event: EventId,
    /// Where that came from.
    pub origin: Origin,
    /// Its own id: event, stage and item.
    pub id: Uuid,
}

/// One call, as the provider's own ledger has it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The idempotency key that came with it.
    pub key: String,
    /// Whether the whole answer was handed over: what a provider bills.
    pub delivered: bool,
    /// Tokens asked and answered.
    pub tokens: (u64, u64),
}

/// Anything of these, for whoever has them in one sequence. Inputs come before what they led to.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A record of the source.
    Input(Input),
    /// A result.
    Answer(Answer),
    /// A dead letter.
    Letter(Letter),
    /// A cost event.
    Charge(Charge),
    /// A published record.
    Published(Published),
    /// A record of the journal.
    Call(Call),
    /// A line of the provider's ledger.
    Entry(Entry),
}
