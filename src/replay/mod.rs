//! Brings events back: which of the dead letters (or records of an input topic) are to be run once more, what of them has
//! been answered since, and the record that does it. Pure: records in, records out.
//!
//! **What a replay is.** The untouched key, value and headers in the topic that the event came from, and in the same
//! partition, with the coordinates where it first stood ([`record`]): so it is the same event, with the same ids; whoever
//! reads its result sees that it is not the first ([`replay_of`](crate::event::result::ResultEvent::replay_of)). It names
//! its group: other pipelines that read the topic pass over it.
//!
//! **What is left out.** An event that was replayed since its dead letter was written: it is on its way, or it has been
//! answered ([`Standing`]). Replaying the same dead letters twice by accident does nothing.
//!
//! [`pick`] is the filter, [`survey`] what a dry run counts.

pub mod pick;
mod ranges;
pub mod record;
pub mod survey;

#[cfg(test)]
mod tests;

pub use pick::{Failed, Filter, WhereError};
pub use ranges::Ranges;
pub use record::{Candidate, replay};
pub use survey::{Standing, Survey};
