//! The call journal: what makes *paid once* true. Every call of a model or a service writes an [`Intent`] before it and an
//! [`Outcome`] after it, to a topic of the group, whose partitions inputs may share. Who takes a partition over
//! reads back what is not committed yet, and finished calls are answered from there.
//!
//! **What it promises.** An answer that is in the journal is never paid again, as long as the same thing is asked: the
//! place of the call (event, stage, item, operation, ordinal) finds it, the digest of the request guards it. Only
//! successes are reused. Records of one partition keep their order, so a later stage's answer that survived implies that
//! the earlier ones did; hence nobody waits for an answer to be durable. A call *in flight*, from its first byte until its
//! outcome is durable, may be paid twice when the process dies: the intent tells that it was, and becomes a charge without
//! a known outcome.
//!
//! **What it is not.** A cache: what is older than the oldest unfinished event of a partition is never read again, except
//! for a replay, which names its range.
//!
//! [`entry`] is what it tells, [`record`] the form of that, [`batch`] what is written together, [`memory`] the pure fold
//! over them, [`writer`] and [`restore`] the shells around a log, [`Book`] the journal of one input, [`pages`] what one
//! event sees.

pub mod batch;
mod book;
pub mod entry;
mod json;
pub mod memory;
pub mod pages;
mod queue;
pub mod record;
pub mod restore;
pub mod writer;

pub use book::Book;
pub use entry::{About, Entry, Intent, Outcome, What};
pub use memory::{Memory, Recalled};
pub use pages::{Binding, Pages, Range};
pub use writer::Writer;

#[cfg(test)]
mod tests;
