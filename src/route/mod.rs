//! Routes: which provider answers for a name. A model of the settings is a route of one member; others choose by a policy.
//!
//! **What a policy promises.** [`RoutePolicy::rank`] is pure: from a snapshot of the members and a draw it gives the order
//! in which to try them, each at most once; one that it leaves out is not asked.
//!
//! **What it must not do.** Call, wait, read a clock, hold state of its own.
//!
//! What is done with the order, [`dispatch`] says.

use std::time::Duration;

pub mod breaker;
pub mod build;
pub mod dispatch;
pub mod first_healthy;

/// A way to choose.
pub trait RoutePolicy: Send + Sync {
    /// Its name in the settings.
    fn name(&self) -> &'static str;
    /// Indexes of members in the order to try them.
    fn rank(&self, want: &Want<'_>, fleet: &[Candidate<'_>], draw: u64) -> Vec<usize>;
}

/// What is asked for, as far as a policy may look at it.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// `chat` or `embeddings`.
    pub operation: &'static str,
    /// Whose.
    pub tenant: &'a str,
    /// Tokens in, probably.
    pub input_tokens: u64,
    /// Tokens out, at most.
    pub max_tokens: u64,
}

/// One member, as it stands now.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// `provider/model`.
    pub name: &'a str,
    /// Its breaker would let a call through.
    pub healthy: bool,
    /// How long until it may be tried again, for one whose breaker is open.
    pub rests: Option<Duration>,
}
