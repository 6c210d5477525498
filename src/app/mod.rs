//! The composition root: everything is made here and handed down; nothing below knows where its parts come from.

pub mod backlog;
pub mod bench;
pub mod connect;
pub mod engine;
pub mod estimate;
pub mod groups;
pub mod instance;
pub mod known;
pub mod lines;
pub mod models;
pub mod money;
pub mod promises;
pub mod replay;
pub mod samples;
pub mod spent;
pub mod topics;
pub mod verify;
