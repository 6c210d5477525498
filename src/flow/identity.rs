//! Who and what an event is about, and what templates see of its record. Precedence of each part: the topic's identity
//! expression, the `ce_*` header, the field of our own schema, none.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde_json::Value as Json;

use super::consume::Consumed;
use super::decode::Decoded;
use super::refusal::Refusal;
use crate::base::clock;
use crate::base::template::Shape;
use crate::event::ids::EventId;
use crate::stream::{Headers, header};

/// The tenant of an event that names none.
pub const DEFAULT_TENANT: &str = "default";

/// The identity expressions of a topic.
#[derive(Debug, Default, Clone)]
pub struct Expressions {
    /// The producer's own id.
    pub request_id: Option<Shape>,
    /// Whose it is.
    pub tenant: Option<Shape>,
    /// Who asked.
    pub user: Option<Shape>,
    /// The conversation.
    pub session: Option<Shape>,
}

/// Who and what an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The producer's own id: for correlation, never for de-duplication.
    pub request_id: Option<Arc<str>>,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// Who asked.
    pub user: Option<Arc<str>>,
    /// The conversation.
    pub session: Option<Arc<str>>,
    /// What it is about.
    pub subject: Option<Arc<str>>,
}

impl Who {
    /// An event of which nothing but its record's headers can be read.
    pub fn of_headers(headers: &Headers) -> Self {
        let (request_id, subject) =
            (text_header(headers, "ce_id"), text_header(headers, "ce_subject"));
        Who { request_id, subject, ..Who::unknown() }
    }

    /// An event about which nothing is known, such as one that can't be decoded.
    pub fn unknown() -> Self {
        Who {
            request_id: None,
            tenant: DEFAULT_TENANT.into(),
            user: None,
            session: None,
            subject: None,
        }
    }
}

/// Finds out who an event is about. `scope` has `event` and `record` without identity.
pub fn identify(
    expressions: &Expressions,
    decoded: &Decoded,
    scope: &Value,
) -> Result<Who, Refusal> {
    let headers = &decoded.consumed.record.headers;
    let part = |place, shape: &Option<Shape>, ce: &str, field: &str| {
        Ok(match expression(place, shape, scope)? {
            Some(text) => Some(text),
            None => text_header(headers, ce).or_else(|| own_field(&decoded.event, field)),
        })
    };
    Ok(Who {
        request_id: part("identity.request_id", &expressions.request_id, "ce_id", "id")?,
        tenant: part("identity.tenant", &expressions.tenant, "ce_tenant", "tenant")?
            .unwrap_or_else(|| DEFAULT_TENANT.into()),
        user: part("identity.user", &expressions.user, "ce_user", "user")?,
        session: part("identity.session", &expressions.session, "ce_session", "session")?,
        subject: text_header(headers, "ce_subject")
            .or_else(|| own_field(&decoded.event, "subject")),
    })
}

/// An expression that gives undefined or none counts as absent; any other trouble fails the event.
fn expression(
    place: &'static str,
    shape: &Option<Shape>,
    scope: &Value,
) -> Result<Option<Arc<str>>, Refusal> {
    let Some(shape) = shape else { return Ok(None) };
    match shape.render(scope) {
        Ok(Json::Null) => Ok(None),
        Ok(Json::String(text)) if text.is_empty() => Ok(None),
        Ok(Json::String(text)) => Ok(Some(text.into())),
        Ok(other) => Ok(Some(other.to_string().into())),
        Err(error) if error.undefined => Ok(None),
        Err(error) => Err(Refusal::Expression { place, message: error.message }),
    }
}

/// A header as text.
pub fn text_header(headers: &Headers, name: &str) -> Option<Arc<str>> {
    let text = std::str::from_utf8(header(headers, name)?).ok()?;
    (!text.is_empty()).then(|| text.into())
}

/// The field of our own schemas; another schema's field of that name counts too when it is a text.
fn own_field(event: &Json, field: &str) -> Option<Arc<str>> {
    event.get(field)?.as_str().filter(|text| !text.is_empty()).map(Arc::from)
}

/// What templates see as `record`.
#[derive(Debug)]
pub struct RecordView {
    /// The record.
    pub consumed: Arc<Consumed>,
    /// The event's id.
    pub id: EventId,
    /// Of the record where it first stood, milliseconds since the epoch: a replay renders what the first run did.
    pub time: i64,
    /// Unknown while the identity itself is found out.
    pub who: Option<Who>,
}

impl Object for RecordView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let record = &self.consumed.record;
        let shown = |text: &Option<Arc<str>>| text.clone().map_or(Value::from(()), Value::from);
        let who = self.who.as_ref();
        Some(match key.as_str()? {
            "id" => Value::from(self.id.to_string()),
            "topic" => Value::from(Arc::clone(&record.at.topic)),
            "tombstone" => Value::from(record.value.is_none()),
            "time" => Value::from(rfc3339(self.time)),
            "key" => record.key.as_ref().map_or(Value::from(()), |key| bytes_as_text(key)),
            "headers" => Value::from_object(HeadersView(Arc::clone(&self.consumed))),
            "request_id" => shown(&who?.request_id),
            "tenant" => Value::from(Arc::clone(&who?.tenant)),
            "user" => shown(&who?.user),
            "session" => shown(&who?.session),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&[
            "id",
            "request_id",
            "time",
            "tenant",
            "user",
            "session",
            "key",
            "headers",
            "topic",
            "tombstone",
        ])
    }
}

/// `record.headers.x`: the last header of that name, as UTF-8 text, else base64.
#[derive(Debug)]
struct HeadersView(Arc<Consumed>);

impl Object for HeadersView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        header(&self.0.record.headers, key.as_str()?).map(|value| bytes_as_text(value))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.0.record.headers.iter().map(|(name, _)| Value::from(&**name));
        Enumerator::Values(names.collect())
    }
}

fn bytes_as_text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => Value::from(BASE64_STANDARD.encode(bytes)),
    }
}

/// Milliseconds since the epoch as text; the number itself where a date can't say it.
pub fn rfc3339(millis: i64) -> String {
    clock::rfc3339(millis).unwrap_or_else(|| millis.to_string())
}
