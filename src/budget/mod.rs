//! Budgets: a ceiling is set aside before a call, the truth is settled after.
//!
//! **What it promises.** As long as no call costs more than its ceiling, what is spent and set aside together never
//! passes a limit: of an event, of a pipeline's day and total, of the engine's day. All limits of a call are taken or none.
//! A call that did cost more is counted whole, and the next one is refused. A day is a UTC day; money set aside over
//! midnight counts against the day it is settled in.
//!
//! **What it must not do.** Wait, write, know prices.
//!
//! [`account`] is the arithmetic, [`engine`] holds the accounts that all events share, [`purse`] is one event's.

use crate::event::money::Money;

pub mod account;
pub mod engine;
pub mod purse;

pub use engine::{EngineBudget, PipelineBudget};
pub use purse::EventPurse;

/// Limits of a pipeline, as its file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of one event.
    pub per_event: Option<Money>,
    /// Of one UTC day.
    pub per_day: Option<Money>,
    /// For ever.
    pub total: Option<Money>,
}
