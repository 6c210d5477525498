//! `topics`: those that are not plain JSON with a text as key, or that know who their events are about.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value as Json;

use super::desk::Desk;
use crate::base::template::Shape;
use crate::base::yaml::{Spanned, Tree};
use crate::codec::Format;

/// Partitions a topic may be made with.
const MOST_PARTITIONS: u64 = 10_000;

/// A topic.
#[derive(Clone, Debug, Default)]
pub struct TopicSettings {
    /// How its values are written.
    pub value: Format,
    /// Partitions it is made with, on Kafka.
    pub partitions: Option<i32>,
    /// Who its events are about.
    pub identity: Identity,
}

/// Who an event is about: expressions over `event` and `record`.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The producer's own id.
    pub request_id: Option<Shape>,
    /// Whose it is.
    pub tenant: Option<Shape>,
    /// Who asked.
    pub user: Option<Shape>,
    /// The conversation.
    pub session: Option<Shape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicSpec {
    value: Option<Spanned<FormatSpec>>,
    #[expect(
        dead_code,
        reason = "a text is the only key there is; the word is checked by its type"
    )]
    key: Option<KeySpec>,
    partitions: Option<Spanned<u64>>,
    identity: Option<IdentitySpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum FormatSpec {
    Avro,
    Json,
    Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeySpec {
    String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct IdentitySpec {
    request_id: Option<Spanned<String>>,
    tenant: Option<Spanned<String>>,
    user: Option<Spanned<String>>,
    session: Option<Spanned<String>>,
}

pub(super) fn read(desk: &mut Desk<'_>, tree: &Tree) -> BTreeMap<Arc<str>, TopicSettings> {
    let mut topics = BTreeMap::new();
    for (name, tree) in desk.named("topics", tree) {
        let (Some(known), Some(spec)) = (desk.name(name), desk.under::<TopicSpec>(name, tree))
        else {
            continue;
        };
        let partitions = spec.partitions.and_then(|n| desk.bounded(&n, 1, MOST_PARTITIONS));
        let identity = spec.identity.unwrap_or_default();
        let topic = TopicSettings {
            value: match spec.value.map(|value| value.value) {
                Some(FormatSpec::Avro) => Format::Avro,
                Some(FormatSpec::Text) => Format::Text,
                Some(FormatSpec::Json) | None => Format::Json,
            },
            partitions: partitions.and_then(|n| i32::try_from(n).ok()),
            identity: Identity {
                request_id: shape(desk, identity.request_id),
                tenant: shape(desk, identity.tenant),
                user: shape(desk, identity.user),
                session: shape(desk, identity.session),
            },
        };
        topics.insert(known, topic);
    }
    topics
}

fn shape(desk: &mut Desk<'_>, text: Option<Spanned<String>>) -> Option<Shape> {
    let text = text?;
    match Shape::compile(&Json::String(text.value.clone())) {
        Ok(shape) => Some(shape),
        Err(error) => {
            let help = "write an expression such as `\"{{ record.key }}\"`";
            desk.error(text.place(), "bad-template", error.message, Some(help));
            None
        }
    }
}
