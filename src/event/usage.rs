//! What a call used, in disjoint parts: no token is counted in two of them, whatever a provider's reply does.

use serde::{Deserialize, Serialize};

/// Tokens of one call. The parts do not overlap: `input` excludes what was read from or written to a cache, `output`
/// excludes `reasoning`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Prompt tokens at the full price.
    pub input: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u64,
    /// Tokens of the visible answer.
    pub output: u64,
    /// Tokens of hidden reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// The parts with their names in cost events, prices and results, zero ones left out.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("input_tokens", self.input),
            ("cache_read_tokens", self.cache_read),
            ("cache_write_tokens", self.cache_write),
            ("output_tokens", self.output),
            ("reasoning_tokens", self.reasoning),
        ]
        .into_iter()
        .filter(|(_, tokens)| *tokens > 0)
    }

    /// All tokens.
    pub fn total(&self) -> u64 {
        self.input + self.cache_read + self.cache_write + self.output + self.reasoning
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.input += other.input;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
        self.output += other.output;
        self.reasoning += other.reasoning;
    }
}
