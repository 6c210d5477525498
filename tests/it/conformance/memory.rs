//! The memory room's conformance suite.
