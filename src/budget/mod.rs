//! Budgets: a ceiling is set aside before a call, the truth is settled after it. Limits of one event, of a UTC day, of a
//! pipeline for ever, and of the whole engine's day.
//!
//! **What it promises.** What is spent and what is set aside never pass a limit together. A hold is given back exactly
//! once, whatever becomes of its call. Limits are of this instance.
//!
//! **What it must not do.** Wait, read a clock (the [`Clock`](crate::base::clock::Clock) is handed in), know a price.

mod account;
mod purse;

pub use account::{Account, Breach};
pub use purse::{ENGINE_PER_DAY, EventPurse, Limits, Wallet};
