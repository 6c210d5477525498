//! Codecs to try, over an embedded registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use vivremotion::codec::registry::embedded::Embedded;
use vivremotion::codec::registry::{Registry, Schema, Verdict, Version, Which};
use vivremotion::codec::{Codec, CodecError, Codecs, Format, json, text};

/// A topic `t` in Avro with this schema.
pub async fn avro(schema: &str) -> Arc<dyn Codec> {
    let registry = Embedded::in_memory().unwrap();
    registry.register("t-value", schema).await.unwrap_or_else(|e| panic!("{schema}: {e}"));
    codecs(Arc::new(registry)).for_topic("t")
}

/// The codecs with `t` in Avro.
pub fn codecs(registry: Arc<dyn Registry>) -> Codecs {
    Codecs::new(registry, [("t".into(), Format::Avro)])
}

/// One codec of each kind, Avro with this schema.
pub async fn members(schema: &str) -> Vec<Arc<dyn Codec>> {
    vec![avro(schema).await, Arc::new(json::Json), Arc::new(text::Text)]
}

/// A datum with the head of the first schema of a registry.
pub fn framed(datum: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, 1], datum].concat()
}

/// Counts what it is asked, and can be cut off.
pub struct Watched {
    pub inner: Embedded,
    pub asked: AtomicUsize,
    pub down: std::sync::atomic::AtomicBool,
}

impl Watched {
    pub fn new() -> Self {
        Watched {
            inner: Embedded::in_memory().unwrap(),
            asked: AtomicUsize::new(0),
            down: false.into(),
        }
    }

    fn ask(&self) -> Result<&Embedded, CodecError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.down.load(Ordering::SeqCst) {
            true => Err(CodecError::unavailable("cut off")),
            false => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl Registry for Watched {
    fn name(&self) -> &'static str {
        "watched"
    }
    async fn schema(&self, id: u32) -> Result<Option<Schema>, CodecError> {
        self.ask()?.schema(id).await
    }
    async fn find(&self, subject: &str, which: Which<'_>) -> Result<Option<Version>, CodecError> {
        self.ask()?.find(subject, which).await
    }
    async fn versions(&self, subject: &str) -> Result<Vec<u32>, CodecError> {
        self.ask()?.versions(subject).await
    }
    async fn subjects(&self) -> Result<Vec<String>, CodecError> {
        self.ask()?.subjects().await
    }
    async fn register(&self, subject: &str, schema: &str) -> Result<u32, CodecError> {
        self.ask()?.register(subject, schema).await
    }
    async fn check(&self, subject: &str, schema: &str) -> Result<Verdict, CodecError> {
        self.ask()?.check(subject, schema).await
    }
}
