//! Builders and golden files for the tests.
pub mod away;
pub mod driver;
pub mod local;
