//! The mock model server: the OpenAI dialect over real HTTP, for tests, benchmarks and trying out. It answers what the
//! simulated provider answers, takes as long and fails as it is told, and keeps a ledger of every call that others can
//! be checked against.
//!
//! `POST /v1/chat/completions` (streamed or not) · `POST /v1/embeddings` · `GET /ledger` (all of it), `GET
//! /ledger/summary` (the sums) · `GET /` (health).
//!
//! How a call goes is said, from weak to strong, by the server's [`Behaviour`], by words in the model's name
//! ([`behaviour`](super::simulated::behaviour)), and by a [`Script`].

use std::path::PathBuf;

use super::simulated::behaviour::Behaviour;

mod chat;
mod embeddings;
mod ledger;
mod reply;
mod script;
mod server;

pub use ledger::{Entry, Ledger, Summary};
pub use script::Script;
pub use server::{Running, start};

/// What a server is told at its start.
#[derive(Debug)]
pub struct Config {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// How every model behaves of which nothing else is said.
    pub behaviour: Behaviour,
    /// Rules for certain calls.
    pub script: Script,
    /// Seed of latencies and failures.
    pub seed: u64,
    /// Length of vectors for which none is asked.
    pub dimensions: Option<u32>,
    /// Where each call is written when it ends, as a line of JSON.
    pub ledger: Option<PathBuf>,
    /// Calls kept in memory; the sums count all.
    pub keep: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: "127.0.0.1:0".to_owned(),
            behaviour: Behaviour::default(),
            script: Script::default(),
            seed: 0,
            dimensions: None,
            ledger: None,
            keep: 100_000,
        }
    }
}
