//! Words: the events and the values they are made of. No I/O, no clock, no randomness.
//!
//! Events that come in (`request`, `sensor`, or a user's own record) are values by their schema, not types: a pipeline
//! names their fields, the engine does not. Events that go out (`result`, `cost`) are types.

pub mod cost;
pub mod identity;
pub mod ids;
mod json;
pub mod money;
pub mod result;
pub mod time;
pub mod usage;
