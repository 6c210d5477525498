//! Pipelines: what the author wrote ([`spec`]), what is wrong with it ([`check`]), and what will run ([`plan`]). Three
//! types with one border: only `check` makes a [`plan::Plan`].
//!
//! **What a check promises.** Every problem is taken down at once, with its place and its mend, before any connection is
//! made. It reads the pipeline file and the files it names, nothing else; what the settings define is an argument.

pub mod check;
pub mod codes;
pub mod describe;
pub mod known;
pub mod load;
pub mod plan;
pub mod samples;
pub mod schema;
pub mod spec;

mod desk;
mod fields;
mod graph;
mod names;
mod rules;
mod site;

pub use known::{Known, KnownCollection, KnownTopic};
pub use load::{Loaded, load};
