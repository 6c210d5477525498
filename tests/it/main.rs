//! The integration tests that need no service. Modules in reading order.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on ends with the reason"
)]
#![expect(clippy::disallowed_methods, reason = "what a run is told stands in its environment")]

mod audit;
#[path = "../faults/checker/mod.rs"]
#[expect(dead_code, unused_imports, reason = "its figures are for a report")]
mod checker;
mod conformance;
mod diagnostics;
mod fences;
mod flow;
mod histories;
mod journal;
mod memory;
mod pipelines;
mod replay;
mod schemas;
mod simulate;
mod support;
mod tidy;
