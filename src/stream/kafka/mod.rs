//! The `kafka` log.
