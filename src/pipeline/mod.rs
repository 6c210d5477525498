//! Pipelines: what the author wrote, what is wrong with it, and what will run. Three types with one border: only
//! `check` makes a [`plan::Plan`].

pub mod plan;
