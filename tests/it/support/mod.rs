//! Builders and golden files for the tests.
pub mod driver;
pub mod local;
