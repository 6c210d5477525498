//! Tokens without a tokenizer: exact counts cost a hundred microseconds a kilobyte, an estimate none.
//!
//! A byte-pair token holds about four bytes of English and two to three of most else. The *upper* estimate, a token per
//! three bytes and eight per turn, is what money is set aside for: dense text (digits, base64, emoji) can pass it by a
//! little, and then the settlement shows it. The *likely* one, a token per four bytes, is what a call is taken to have used
//! when its provider does not say, and what the simulated models count.

use super::{ChatRequest, EmbedRequest};

/// Tokens of the frame around a turn or a text.
const FRAME_UPPER: u64 = 8;
const FRAME_LIKELY: u64 = 4;

/// What a call may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens in, at most, as far as bytes tell.
    pub input_upper: u64,
    /// Tokens in, probably.
    pub input_likely: u64,
    /// Tokens out, at most.
    pub output_upper: u64,
}

/// Of a chat.
pub fn of_chat(request: &ChatRequest) -> Estimate {
    let texts = request.messages.iter().map(|message| message.text.len());
    let schema = request.schema.as_ref().map(|schema| schema_bytes(&schema.schema));
    estimate(texts.chain(schema), request.max_tokens.into())
}

/// Of embeddings.
pub fn of_embed(request: &EmbedRequest) -> Estimate {
    estimate(request.texts.iter().map(String::len), 0)
}

/// Probable tokens of an answer.
pub fn of_text(text: &str) -> u64 {
    bytes(text.len()).div_ceil(4)
}

/// Length of a schema as JSON text.
fn schema_bytes(schema: &serde_json::Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
            self.0 += part.len();
            Ok(part.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, schema) {
        Ok(()) | Err(_) => counter.0,
    }
}

fn estimate(texts: impl Iterator<Item = usize>, output_upper: u64) -> Estimate {
    let (mut upper, mut likely) = (0, 0);
    for length in texts {
        upper += bytes(length).div_ceil(3) + FRAME_UPPER;
        likely += bytes(length).div_ceil(4) + FRAME_LIKELY;
    }
    Estimate { input_upper: upper, input_likely: likely, output_upper }
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX / 8)
}
