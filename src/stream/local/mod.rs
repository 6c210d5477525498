//! The `local` log.
