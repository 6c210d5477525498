//! The composition root: everything is made here and handed down; nothing below knows where its parts come from.

pub mod groups;
pub mod lines;
pub mod topics;
