//! The embedded log: one SQLite file. Durable, exactly once by one SQL transaction per commit, for trying out, for edge
//! devices, and for tests that need no services.
//!
//! **How it keeps the contract.** A topic has one partition (order is per key, so keys give the concurrency) and a table
//! of its own, so that records are always appended at the end of a tree. All writes of a process go through one thread
//! (`writer`), which puts what waits into one transaction, each piece whole; a commit's outputs and its progress are one
//! piece. Readers (`cursor`) have a thread and a connection each, hold no snapshot between two queries, and learn of
//! other processes' records by polling `data_version`. One engine per group: an OS file lock (`lock`), which a killed
//! process can't keep. Several processes may send and read. `keeper` moves the write-ahead log into the file and drops
//! records that are too old.

mod append;
mod cursor;
mod fault;
mod follower;
mod groups;
mod headers;
mod keeper;
mod lock;
mod log;
mod member;
mod reads;
mod records;
mod tables;
mod writer;

pub use log::{Local, Settings};
