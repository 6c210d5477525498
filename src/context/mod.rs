//! What is known beside the event: vector memory now; sessions and profiles later.

pub mod memory;
