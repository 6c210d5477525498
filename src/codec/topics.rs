//! The codecs by topic, and what must be in the registry before the first record.

use std::collections::HashMap;
use std::sync::Arc;

use super::avro::{Avro, Schemas, shipped};
use super::json::Json;
use super::registry::{Registry, Which, value_subject};
use super::text::Text;
use super::{Codec, CodecError};

/// How the values of a topic are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Avro in the Confluent wire format.
    Avro,
    /// JSON.
    #[default]
    Json,
    /// UTF-8 text.
    Text,
}

impl Format {
    /// Words of the settings.
    pub const WORDS: [&'static str; 3] = ["avro", "json", "text"];

    /// From its word.
    pub fn from_word(word: &str) -> Option<Format> {
        match word {
            "avro" => Some(Format::Avro),
            "json" => Some(Format::Json),
            "text" => Some(Format::Text),
            _ => None,
        }
    }
}

/// What a topic is going to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Our results.
    Result,
    /// Our cost events.
    Cost,
    /// Our requests: what `send` writes.
    Request,
    /// Our sensor readings.
    Sensor,
    /// The user's own values.
    Own,
}

impl Content {
    /// Name and text of the schema, when it is ours.
    fn shipped(self) -> Option<(&'static str, &'static str)> {
        match self {
            Content::Result => Some(("result", shipped::RESULT)),
            Content::Cost => Some(("cost", shipped::COST)),
            Content::Request => Some(("request", shipped::REQUEST)),
            Content::Sensor => Some(("sensor", shipped::SENSOR)),
            Content::Own => None,
        }
    }
}

/// The codecs of all topics.
pub struct Codecs {
    schemas: Arc<Schemas>,
    named: HashMap<Arc<str>, Arc<dyn Codec>>,
    json: Arc<dyn Codec>,
}

impl Codecs {
    /// From the topics of the settings; any other topic is JSON.
    pub fn new(
        registry: Arc<dyn Registry>,
        topics: impl IntoIterator<Item = (Arc<str>, Format)>,
    ) -> Self {
        let schemas = Arc::new(Schemas::new(registry));
        let codec = |(topic, format): (Arc<str>, Format)| {
            let codec: Arc<dyn Codec> = match format {
                Format::Avro => Arc::new(Avro::new(&topic, Arc::clone(&schemas))),
                Format::Json => Arc::new(Json),
                Format::Text => Arc::new(Text),
            };
            (topic, codec)
        };
        let named = topics.into_iter().map(codec).collect();
        Codecs { schemas, named, json: Arc::new(Json) }
    }

    /// The codec of a topic.
    pub fn for_topic(&self, topic: &str) -> Arc<dyn Codec> {
        Arc::clone(self.named.get(topic).unwrap_or(&self.json))
    }

    /// The registry.
    pub fn registry(&self) -> &Arc<dyn Registry> {
        self.schemas.registry()
    }

    /// Makes sure, before the first record, that the schema of what will be written to a topic is registered. Registers
    /// one of ours when `create` says so. Nothing to do for topics that are not Avro.
    pub async fn prepare(
        &self,
        topic: &str,
        content: Content,
        create: bool,
    ) -> Result<(), CodecError> {
        if self.for_topic(topic).name() != "avro" {
            return Ok(());
        }
        let subject = value_subject(topic);
        let Some((name, text)) = content.shipped() else {
            return self.schemas.newest(&subject).await.map(|_| ());
        };
        if create {
            return self.registry().register(&subject, text).await.map(|_| ());
        }
        match self.registry().find(&subject, Which::Text(text)).await? {
            Some(_) => Ok(()),
            None => Err(CodecError::permanent(
                "unknown-subject",
                format!(
                    "the registry does not have our schema in subject `{subject}`: register it \
                     with `vivremotion schemas register {topic} --schema {name}`, or set \
                     `log.kafka.create: true`"
                ),
            )),
        }
    }
}
