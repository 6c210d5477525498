//! Cost of the corridor.
fn main() {}
