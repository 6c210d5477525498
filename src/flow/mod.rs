//! The corridor, one file per door, in the order an event meets them:
//!
//! `consume → decode → admit → enrich → run → emit → commit`
//!
//! Each door takes the previous door's type and gives the next: what was not run can't be emitted.

pub mod admit;
pub mod attempt;
pub mod consume;
pub mod dead_letter;
pub mod decode;
pub mod emit;
pub mod enrich;
pub mod headers;
pub mod identity;
pub mod meter;
pub mod outage;
pub mod refusal;
pub mod report;
pub mod run;
pub mod schedule;
pub mod scope;
pub mod unit;
