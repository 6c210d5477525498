//! The schema registry: which schema an id means, which id a subject has. Members are `http` (any registry that speaks
//! Confluent's interface) and `embedded` (a table in the local file).
//!
//! **What a member promises.** An id means the same schema for ever. `None` is said only after a fresh look: a failure is
//! an error, never `None`. Registering the same schema twice in a subject gives the same id.
//!
//! **What a member must not do.** Cache (that is [`Schemas`](super::avro::Schemas)), retry, register on its own.
//!
//! Conformance: `tests/it/conformance/registry.rs`.

use async_trait::async_trait;

use super::CodecError;

pub mod bounded;
pub mod embedded;
pub mod http;

/// One registry.
#[async_trait]
pub trait Registry: Send + Sync {
    /// `http` or `embedded`.
    fn name(&self) -> &'static str;
    /// The schema of an id; none when the registry says that it has none.
    async fn schema(&self, id: u32) -> Result<Option<Schema>, CodecError>;
    /// A version of a subject; none when there is no such subject or version.
    async fn find(&self, subject: &str, which: Which<'_>) -> Result<Option<Version>, CodecError>;
    /// The version numbers of a subject, ascending; empty when there is no such subject.
    async fn versions(&self, subject: &str) -> Result<Vec<u32>, CodecError>;
    /// All subjects, sorted.
    async fn subjects(&self) -> Result<Vec<String>, CodecError>;
    /// Makes a schema the newest version of a subject and gives its id; refused with `incompatible-schema` when readers
    /// of it could not read what was written with the versions before.
    async fn register(&self, subject: &str, schema: &str) -> Result<u32, CodecError>;
    /// Whether [`register`](Registry::register) would take it; the reason, when not.
    async fn check(&self, subject: &str, schema: &str) -> Result<Verdict, CodecError>;
}

/// A schema as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Text.
    pub text: String,
    /// Texts of the schemas with the types that it uses and does not define.
    pub references: Vec<String>,
}

/// A version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Number in the subject, from 1; 0 when the registry does not tell.
    pub number: u32,
    /// Id.
    pub id: u32,
    /// The schema.
    pub schema: Schema,
}

/// Which version of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// The newest.
    Latest,
    /// By its number.
    Number(u32),
    /// The one with this very schema.
    Text(&'a str),
}

/// Whether a schema may become the newest version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Compatible,
    /// It may not.
    Incompatible(String),
}

/// The subject of a topic's values.
pub fn value_subject(topic: &str) -> String {
    format!("{topic}-value")
}
