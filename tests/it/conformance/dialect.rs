//! The dialect room's conformance suite.
