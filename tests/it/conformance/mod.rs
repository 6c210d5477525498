//! One suite per room, run against every member that needs no service. (`tests/e2e` runs the same suites against the
//! members that do.)

pub mod codec;
pub mod dialect;
#[macro_use]
pub mod log;
mod log_local;
mod log_memory;
#[macro_use]
pub mod memory;
pub mod memory_local;
pub mod registry;
