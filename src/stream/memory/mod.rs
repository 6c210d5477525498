//! The `memory` log.
