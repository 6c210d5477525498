//! The codec room's conformance suite.
