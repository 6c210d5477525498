//! Avro in the Confluent wire format: a zero byte, the schema's id in four bytes, the datum. Values are read and written
//! by walkers of our own, since hostile bytes must not cost more than they are long; the schemas themselves are
//! `apache_avro`'s.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::registry::value_subject;
use super::{Codec, CodecError, MAX_BYTES};
use crate::event::cost::CostEvent;
use crate::event::result::ResultEvent;

mod events;
mod layout;
mod logical;
mod misfit;
mod read;
mod schemas;
pub mod shipped;
mod write;

pub use layout::Layout;
pub use schemas::Schemas;

/// Bytes before the datum.
const HEAD: usize = 5;
/// Room for a result of a few stages, and for a cost event.
const RESULT: usize = 2_048;
const COST: usize = 512;

/// The codec of one topic with `value: avro`.
pub struct Avro {
    subject: String,
    schemas: Arc<Schemas>,
}

impl Avro {
    /// For the values of a topic.
    pub fn new(topic: &str, schemas: Arc<Schemas>) -> Self {
        Avro { subject: value_subject(topic), schemas }
    }
}

#[async_trait]
impl Codec for Avro {
    fn name(&self) -> &'static str {
        "avro"
    }

    async fn decode(&self, value: &Bytes) -> Result<Value, CodecError> {
        let (id, datum) = split(value)?;
        let layout = self.schemas.layout(id).await?;
        read::read(&layout, datum)
    }

    async fn encode(&self, value: &Value) -> Result<Bytes, CodecError> {
        let ready = self.schemas.newest(&self.subject).await?;
        let mut out = head(ready.id, RESULT);
        write::write(&ready.layout, value, &mut out)?;
        Ok(fitted(out))
    }

    async fn encode_result(&self, result: &ResultEvent<'_>) -> Result<Bytes, CodecError> {
        let mut out = head(self.schemas.id_of(&self.subject, shipped::RESULT).await?, RESULT);
        events::result(result, &mut out);
        Ok(fitted(out))
    }

    async fn encode_cost(&self, cost: &CostEvent<'_>) -> Result<Bytes, CodecError> {
        let mut out = head(self.schemas.id_of(&self.subject, shipped::COST).await?, COST);
        events::cost(cost, &mut out);
        Ok(fitted(out))
    }
}

/// Id and datum.
fn split(value: &[u8]) -> Result<(u32, &[u8]), CodecError> {
    if value.len() > MAX_BYTES {
        return Err(CodecError::too_large(value.len()));
    }
    match value {
        [0, a, b, c, d, datum @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        [0, ..] => Err(CodecError::permanent(
            "short-value",
            format!(
                "the value has {} bytes, fewer than the {HEAD} before every datum",
                value.len()
            ),
        )),
        [] => Err(CodecError::permanent("short-value", "the value is empty")),
        [first, ..] => Err(CodecError::permanent(
            "magic-byte",
            format!(
                "the value begins with byte {first}, expected 0 as every Avro value with a schema id does"
            ),
        )),
    }
}

fn head(id: u32, usual: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(usual);
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
    out
}

/// Without the room that was not needed: it waits for a commit with many others.
fn fitted(out: Vec<u8>) -> Bytes {
    out.into_boxed_slice().into()
}
