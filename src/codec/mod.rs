//! Codecs: bytes of a record's value to a JSON value and back, by what the topic's settings say.
//!
//! **What a member promises.** Decoding is total: any bytes give a value or an error, in bounded time, memory and depth;
//! nothing panics. The registry is asked at most once per schema id. Values follow one table of types: Avro decimal →
//! text, timestamp → RFC 3339, bytes → base64, union → its inner value, enum → text.
//!
//! **What it must not do.** Register a schema, retry, log a payload.
//!
//! Bounds are [`MAX_BYTES`], [`MAX_DEPTH`] and [`MAX_VALUES`]. Conformance: `tests/it/conformance/codec.rs`.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use crate::event::cost::CostEvent;
use crate::event::result::ResultEvent;

pub mod avro;
pub mod json;
pub mod registry;
pub mod text;
pub mod topics;

pub use topics::{Codecs, Content, Format};

/// Bytes of one value; a longer one is refused before it is looked into.
pub const MAX_BYTES: usize = 4 << 20;
/// Records, lists and maps inside each other.
pub const MAX_DEPTH: usize = 64;
/// Values in one value, leaves and containers: what a short text or a length prefix can make of memory is bounded by it.
pub const MAX_VALUES: usize = 250_000;

/// How the values of one topic are written.
#[async_trait]
pub trait Codec: Send + Sync {
    /// `avro`, `json` or `text`.
    fn name(&self) -> &'static str;
    /// The value of a record that has one.
    async fn decode(&self, value: &Bytes) -> Result<Value, CodecError>;
    /// A user's own value, as `sink.value` and `publish` make it.
    async fn encode(&self, value: &Value) -> Result<Bytes, CodecError>;
    /// A result.
    async fn encode_result(&self, result: &ResultEvent<'_>) -> Result<Bytes, CodecError>;
    /// A cost event.
    async fn encode_cost(&self, cost: &CostEvent<'_>) -> Result<Bytes, CodecError>;
}

/// Why bytes have no value, or a value has no bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError {
    /// Class.
    pub kind: CodecErrorKind,
    /// Word with dashes, such as `magic-byte`, `unknown-schema`, `too-deep`.
    pub code: &'static str,
    /// One sentence without the payload.
    pub message: String,
}

/// The classes of codec failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecErrorKind {
    /// These bytes (or this value) will never do: a dead letter.
    Permanent,
    /// The registry does not answer: intake pauses.
    Unavailable,
}

impl CodecError {
    /// These bytes, or this value, will never do.
    pub fn permanent(code: &'static str, message: impl Into<String>) -> Self {
        CodecError { kind: CodecErrorKind::Permanent, code, message: message.into() }
    }

    /// The registry does not answer.
    pub fn unavailable(message: impl Into<String>) -> Self {
        CodecError {
            kind: CodecErrorKind::Unavailable,
            code: "registry-unavailable",
            message: message.into(),
        }
    }

    /// A value of more than [`MAX_BYTES`].
    fn too_large(bytes: usize) -> Self {
        CodecError::permanent(
            "too-large",
            format!("the value has {bytes} bytes, more than the {MAX_BYTES} that are read"),
        )
    }

    /// A value deeper than [`MAX_DEPTH`].
    fn too_deep() -> Self {
        CodecError::permanent("too-deep", format!("the value is nested more than {MAX_DEPTH} deep"))
    }

    /// A value of more than [`MAX_VALUES`] parts.
    fn too_many() -> Self {
        CodecError::permanent(
            "too-many-values",
            format!("the value has more than {MAX_VALUES} parts"),
        )
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CodecError {}
