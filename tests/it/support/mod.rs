//! Builders and golden files for the tests.
