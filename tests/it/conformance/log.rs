//! The log room's conformance suite.
