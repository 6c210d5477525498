//! Words and small tools that know nothing of the product.

pub mod clock;
pub mod diagnostic;
pub mod retry;
pub mod template;
pub mod yaml;
