//! The registry room's conformance: the suite, run against the embedded member, and what each member has of its own.

mod embedded;
mod http;
mod suite;
