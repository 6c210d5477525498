//! The Kafka member of the log: for everyone who has a cluster.
//!
//! Roles, one OS thread each, since the client's calls block: the *poll thread* owns the consumer (`poll`, `assign`); the
//! *commit thread* owns the one transactional producer (`writer`, which performs what the pure
//! [`super::transaction`] says; `direct` where at least once was chosen). Async code talks to them through queues. What
//! both need to know of the group's membership is in `member`.
//!
//! It promises what [`crate::stream`] asks of a member. It deliberately does not filter what is done already, gather
//! batches, retry a batch that failed, or name anything of the pipelines.

mod assign;
mod config;
mod copy;
mod direct;
mod fault;
mod follow;
mod log;
mod lookup;
mod member;
mod offsets;
mod orphans;
mod outlet;
mod poll;
mod probe;
mod producer;
mod reader;
mod taken;
mod topics;
mod writer;

pub use config::{KafkaConfig, refusal};
pub use log::KafkaLog;
pub use probe::{Verdict, probe, probe_name, recall, remember};
