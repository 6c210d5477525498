//! Behaviours of the corridor, one sentence per test.
