//! The rules of a check, one subject a file. Each takes down every problem it sees and goes on.

pub(super) mod across;
pub(super) mod edges;
pub(super) mod head;
pub(super) mod memory;
pub(super) mod money;
pub(super) mod secrets;
pub(super) mod sink;
pub(super) mod stage;
