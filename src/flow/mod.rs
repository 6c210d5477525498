//! The corridor: consume → decode → admit → enrich → run → emit → commit.

pub mod lanes;
pub mod tracker;
