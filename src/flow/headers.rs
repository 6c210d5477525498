//! The headers of every output: the event it belongs to, where that came from, and the CloudEvents attributes.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use uuid::Uuid;

use super::identity::{Who, rfc3339};
use crate::event::identity::Origin;
use crate::event::ids::EventId;
use crate::journal::Range;
use crate::stream::Headers;

/// Where the journal tells of an event: on its dead letter, and on a replay of it. Once for each run.
pub const JOURNAL: &str = "vivremotion.journal";
/// Runs of an event that are looked up; older ones are left out.
const MAX_RANGES: usize = 8;

/// The newest ranges that a record names; what can't be read is none.
pub fn journal_ranges(headers: &Headers) -> Vec<Range> {
    let named = headers.iter().rev().filter(|(name, _)| name == JOURNAL);
    let read =
        named.filter_map(|(_, value)| std::str::from_utf8(value.as_ref()?).ok()?.parse().ok());
    read.take(MAX_RANGES).collect()
}

/// What an event's outputs have in common.
pub struct Stamp<'a> {
    /// `vivremotion/<pipeline>`.
    pub source: &'a Arc<str>,
    /// The event.
    pub event_id: EventId,
    /// Where its record first stood.
    pub origin: &'a Origin,
    /// Whom it is about.
    pub who: &'a Who,
    /// Pipelines it had passed through before this one.
    pub hops: u32,
    /// Trace context.
    pub traceparent: Option<&'a Arc<str>>,
}

impl Stamp<'_> {
    /// What the headers of all outputs of the event say alike: the source first.
    fn common(&self) -> Headers {
        let mut texts = Texts::with_capacity(256);
        texts.put("ce_source", self.source);
        let optional = [
            ("ce_subject", &self.who.subject),
            ("ce_user", &self.who.user),
            ("ce_session", &self.who.session),
            ("vivremotion.request_id", &self.who.request_id),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                texts.put(name, value);
            }
        }
        texts.put("ce_tenant", &self.who.tenant);
        texts.put("vivremotion.event_id", self.event_id);
        texts.put("vivremotion.origin", self.origin);
        texts.put("vivremotion.hops", self.hops + 1);
        if let Some(traceparent) = self.traceparent {
            texts.put("traceparent", traceparent);
        }
        texts.headers().collect()
    }
}

/// Values of headers, one behind the other: they share their memory.
struct Texts {
    text: String,
    /// Name, and where its value ends.
    ends: Vec<(&'static str, usize)>,
}

impl Texts {
    fn with_capacity(bytes: usize) -> Self {
        Texts { text: String::with_capacity(bytes), ends: Vec::with_capacity(10) }
    }

    fn put(&mut self, name: &'static str, value: impl fmt::Display) {
        // A text takes whatever is written to it.
        write!(self.text, "{value}").unwrap_or_default();
        self.ends.push((name, self.text.len()));
    }

    fn headers(self) -> impl Iterator<Item = (Cow<'static, str>, Option<Bytes>)> {
        let text = Bytes::from(self.text);
        let mut begins = 0;
        self.ends.into_iter().map(move |(name, ends)| {
            let value = text.slice(begins..ends);
            begins = ends;
            (Cow::Borrowed(name), Some(value))
        })
    }
}

/// Headers of the outputs of one event: what they have in common is written once and shared.
#[derive(Debug, Default)]
pub struct Stamped(OnceLock<Headers>);

impl Stamped {
    /// The headers of one output.
    pub fn headers<'a>(
        &self,
        stamp: impl FnOnce() -> Stamp<'a>,
        id: Uuid,
        kind: &'static str,
        time: i64,
    ) -> Headers {
        let common = self.0.get_or_init(|| stamp().common());
        let mut headers: Headers = Vec::with_capacity(common.len() + 5);
        headers.push(("ce_specversion".into(), Some(Bytes::from_static(b"1.0"))));
        headers.push(("ce_type".into(), Some(Bytes::from_static(kind.as_bytes()))));
        let mut texts = Texts::with_capacity(64);
        texts.put("ce_id", id);
        texts.put("ce_time", rfc3339(time));
        headers.extend(texts.headers());
        headers.extend_from_slice(common);
        headers
    }
}
