//! Words and small tools that know nothing of the product.

pub mod chain;
pub mod clock;
pub mod diagnostic;
pub mod failpoint;
pub mod halt;
pub mod json;
pub mod nearest;
pub mod quantity;
pub mod retry;
pub mod secret;
pub mod sqlite;
pub mod template;
pub mod template_names;
pub mod yaml;
