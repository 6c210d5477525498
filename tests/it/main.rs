//! The integration tests that need no service. Modules in reading order.

mod conformance;
mod diagnostics;
mod fences;
mod flow;
mod pipelines;
mod schemas;
mod support;
mod tidy;
