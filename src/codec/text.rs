//! Plain text: a value is its UTF-8 bytes.

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::{Codec, CodecError, MAX_BYTES};
use crate::event::cost::CostEvent;
use crate::event::result::ResultEvent;

/// The codec of topics with `value: text`.
#[derive(Debug, Clone, Copy)]
pub struct Text;

#[async_trait]
impl Codec for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    async fn decode(&self, value: &Bytes) -> Result<Value, CodecError> {
        if value.len() > MAX_BYTES {
            return Err(CodecError::too_large(value.len()));
        }
        std::str::from_utf8(value).map(|text| Value::String(text.to_owned())).map_err(not_utf8)
    }

    async fn encode(&self, value: &Value) -> Result<Bytes, CodecError> {
        match value {
            Value::String(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            other => Ok(other.to_string().into()),
        }
    }

    async fn encode_result(&self, result: &ResultEvent<'_>) -> Result<Bytes, CodecError> {
        super::json::put(result, 2_048)
    }

    async fn encode_cost(&self, cost: &CostEvent<'_>) -> Result<Bytes, CodecError> {
        super::json::put(cost, 1_024)
    }
}

/// Bytes that should be text and are not.
pub(super) fn not_utf8(error: std::str::Utf8Error) -> CodecError {
    CodecError::permanent(
        "invalid-utf8",
        format!("the value is not UTF-8: byte {} is not part of a character", error.valid_up_to()),
    )
}
