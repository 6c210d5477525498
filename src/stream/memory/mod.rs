//! The log of harness and simulation: everything in one process' memory, on the caller's own thread and clock.
//!
//! **How it keeps the contract.** One lock around all state, never held across an await; whoever waits is woken by every
//! change. Nothing happens by itself: no thread, no timer, so that a run under a held clock is the same each time.
//! Members of a group share partitions as Kafka's do: each change of the group makes a new generation, a commit under an
//! older one is refused, and a fence knows no more than what its member was told.
//!
//! Commits walk the same cycle as on Kafka ([`super::transaction`]), against a model of the coordinator: epochs of
//! producers, transactions that hide their records and offsets until they end, ends that come late (`broker`).
//!
//! **What it does on demand** ([`Memory`]): takes partitions away, gently or not; refuses commits; lets them take time;
//! forgets all members, as when every process dies; leaves gaps in offsets; puts anything where progress stood; lets
//! calls meet a drawn [`Weather`], in which they fail, come late, come twice, or end their instance.

mod broker;
mod follower;
mod group;
mod log;
mod member;
mod state;
mod weather;
mod writer;

pub use super::transaction::{Class, Step};
pub use log::Memory;
pub use weather::{Luck, Meets, Weather};
