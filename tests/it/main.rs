//! The integration tests that need no service. Modules in reading order.

mod conformance;
mod diagnostics;
mod fences;
mod flow;
mod memory;
mod pipelines;
mod support;
mod tidy;
