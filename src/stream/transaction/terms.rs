//! What the commit cycle is told and what it says.

use std::time::Duration;

use crate::stream::CommitErrorKind;

/// One thing to do with the client; its order is the order of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Drop the producer and make one with the same id.
    Renew,
    /// Initialise transactions: ends what a producer of the same id left open.
    Init,
    /// Begin a transaction.
    Begin,
    /// Add the offsets.
    SendOffsets,
    /// Hand over every record.
    Produce,
    /// Wait until every record handed over is reported.
    Await,
    /// Commit, or go on with a commit that ran out of its call's time.
    Commit,
    /// Abort.
    Abort,
    /// Read the committed progress of the batch's partitions.
    Decide,
}

/// How the client says to go on after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Repeat the same call.
    Retriable,
    /// Abort the transaction.
    Abortable,
    /// The producer is spent.
    Fatal,
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stream) enum Subject {
    /// The group moved on without us.
    Membership,
    /// Another producer took our id, or the coordinator ended our transaction.
    Producer,
    /// Access rules.
    Access,
    /// The progress text.
    Progress,
    /// Anything else.
    Other,
}

/// A failed call.
#[derive(Clone, Debug)]
pub(in crate::stream) struct Fault {
    pub class: Class,
    pub subject: Subject,
    pub message: String,
}

/// Records that were not written.
#[derive(Clone, Debug)]
pub(in crate::stream) struct Rejection {
    /// The record, when it was one alone.
    pub index: Option<usize>,
    /// Whether it can never be written as it is.
    pub unwritable: bool,
    pub subject: Subject,
    pub message: String,
}

/// What the committed progress says about a batch in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stream) enum Decision {
    /// It carries the batch's nonce and sequence.
    Committed,
    /// It does not, and the partition is still ours: nobody else could have written over it.
    NotCommitted,
    /// No partition of the batch is ours any more: the next owner decides by the same record.
    NotOurs,
    /// The batch has no progress to tell it by.
    Unknowable,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stream) enum Action {
    /// This call.
    Do(Step),
    /// Rest, then come back with [`Event::Rested`].
    Pause(Duration),
    /// This is the outcome.
    Finish(Outcome),
}

/// What came of the last action.
#[derive(Clone, Debug)]
pub(in crate::stream) enum Event {
    /// It succeeded.
    Done,
    /// A commit or an abort succeeded; whether a broker error was seen since the transaction began.
    Ended { troubled: bool },
    /// The call failed.
    Failed(Fault),
    /// Records were refused or not delivered; the others are reported or will be.
    Rejected(Rejection),
    /// Reports are missing after all the time that records have.
    Unreported,
    /// What the committed progress says.
    Decided(Decision),
    /// The pause is over.
    Rested,
}

/// How a walk ended.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stream) enum Outcome {
    /// Committed (or open, where that was asked).
    Done,
    /// Not committed, or it can't be told and the instance must end.
    Failed { kind: CommitErrorKind, subject: Subject, message: String },
}
