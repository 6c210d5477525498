//! Stories against real services.
fn main() {}
