//! JSON. Depth and number of values are counted in the bytes before a parser builds anything of them.

use async_trait::async_trait;
use bytes::Bytes;
use memchr::memchr2;
use serde_json::Value;

use super::{Codec, CodecError, MAX_BYTES, MAX_DEPTH, MAX_VALUES};
use crate::base::json::{Any, Put, Unwritable};
use crate::event::cost::CostEvent;
use crate::event::result::ResultEvent;

/// The codec of topics with `value: json`, and of topics that the settings do not name.
#[derive(Debug, Clone, Copy)]
pub struct Json;

#[async_trait]
impl Codec for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    async fn decode(&self, value: &Bytes) -> Result<Value, CodecError> {
        decode(value)
    }

    async fn encode(&self, value: &Value) -> Result<Bytes, CodecError> {
        put(&Any(value), 256)
    }

    async fn encode_result(&self, result: &ResultEvent<'_>) -> Result<Bytes, CodecError> {
        put(result, 2_048)
    }

    async fn encode_cost(&self, cost: &CostEvent<'_>) -> Result<Bytes, CodecError> {
        put(cost, 1_024)
    }
}

/// One JSON value, within the room's bounds. Of keys that occur twice the last holds.
pub fn decode(bytes: &[u8]) -> Result<Value, CodecError> {
    if bytes.len() > MAX_BYTES {
        return Err(CodecError::too_large(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(super::text::not_utf8)?;
    measure(bytes)?;
    serde_json::from_str(text).map_err(|error| {
        // The parser's own sentence may quote the payload; its place never does.
        let what = match error.classify() {
            serde_json::error::Category::Eof => "ends too early",
            _ => "is not valid",
        };
        let (line, column) = (error.line(), error.column());
        CodecError::permanent(
            "invalid-json",
            format!("the JSON value {what} at line {line}, column {column}"),
        )
    })
}

/// Refuses what would be too deep or too many, without recursion. Outside of strings every opening bracket goes one
/// deeper, and every bracket or comma may begin one more value.
fn measure(bytes: &[u8]) -> Result<(), CodecError> {
    let (mut depth, mut values) = (0usize, 1usize);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            // To the end of the string, or of what never ends: most of a value is text.
            b'"' => loop {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(special) = memchr2(b'"', b'\\', rest) else {
                    at = bytes.len();
                    break;
                };
                let ends = rest.get(special) == Some(&b'"');
                at += special + if ends { 1 } else { 2 };
                if ends {
                    break;
                }
            },
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(CodecError::too_deep());
        }
    }
    match values > MAX_VALUES {
        true => Err(CodecError::too_many()),
        false => Ok(()),
    }
}

/// The JSON of a value, which usually has fewer than so many bytes.
pub(super) fn put(value: &impl Put, usual: usize) -> Result<Bytes, CodecError> {
    let mut bytes = Vec::with_capacity(usual);
    let wrong =
        |Unwritable(why)| CodecError::permanent("not-json", format!("can't be written: {why}"));
    value.put(&mut bytes).map_err(wrong)?;
    Ok(Bytes::from(bytes))
}
