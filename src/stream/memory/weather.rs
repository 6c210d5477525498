//! What the calls of a member meet on their way to the broker and back. Who simulates draws it; without one the sky is
//! clear.

use std::time::Duration;

use crate::stream::transaction::{Class, Step};

/// Draws what happens.
pub trait Weather: Send {
    /// What a call of an instance's producer meets.
    fn meets(&mut self, instance: &str, step: Step) -> Meets;
    /// Whether a broker that refuses a batch says which record is at fault.
    fn names_the_bad(&mut self) -> bool;
    /// Records of one partition in one delivery, at most; at least one.
    fn together(&mut self) -> usize;
}

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meets {
    /// It takes that long, before anything happens at the broker.
    pub takes: Duration,
    /// How it turns out.
    pub luck: Luck,
}

/// How a call turns out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Luck {
    /// Done, and told so.
    Passes,
    /// It never gets there; the client fails it like that.
    Lost(Class),
    /// Done, but the answer is lost; the client fails it like that.
    Unanswered(Class),
    /// The client fails it like that; it gets there so much later (offsets, and ends of a transaction).
    Late(Class, Duration),
    /// Done, and told so; its twin, sent when the first seemed lost, gets there so much later (ends of a transaction).
    /// Whether the client saw trouble.
    Twice(Duration, bool),
    /// The instance dies before it gets there; of records, half do.
    Dies,
    /// The instance dies when it is done.
    DiesAfter,
}

impl Meets {
    /// Nothing happens on the way.
    pub const CLEAR: Meets = Meets { takes: Duration::ZERO, luck: Luck::Passes };
}
