//! The registry room's conformance suite.
