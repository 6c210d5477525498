//! Third door: whether an event is let in. Here it is known who it is about, since the filter may ask.

use minijinja::Value;

use super::decode::Decoded;
use super::identity::{self, Expressions, RecordView, Who, text_header};
use super::refusal::Refusal;
use super::scope::{Names, Scope};
use crate::base::template::{Expression, shared};

/// Pipelines that one record may pass through in a row.
pub const MAX_HOPS: u32 = 16;

/// What admission needs.
pub struct Admission {
    /// Identity expressions of the source's topic.
    pub identity: Expressions,
    /// `source.filter`.
    pub filter: Option<Expression>,
    /// Names of the plan's stages.
    pub names: Names,
}

/// An event that is let in.
#[derive(Debug)]
pub struct Admitted {
    /// The event.
    pub decoded: Decoded,
    /// Whom it is about.
    pub who: Who,
    /// Pipelines it has passed through.
    pub hops: u32,
    /// What templates see, before any stage.
    pub scope: Scope,
}

/// Lets an event in, or says why not. `now` in milliseconds since the epoch.
pub fn admit(admission: &Admission, decoded: Decoded, now: i64) -> Result<Admitted, Refusal> {
    let headers = &decoded.consumed.record.headers;
    let hops = text_header(headers, "vivremotion.hops").and_then(|h| h.parse().ok()).unwrap_or(0);
    if hops >= MAX_HOPS {
        return Err(Refusal::TooManyHops(MAX_HOPS));
    }
    if expires_at(&decoded).is_some_and(|at| at <= now) {
        return Err(Refusal::Expired);
    }
    let event = shared(&decoded.event);
    let view = |who| {
        let consumed = std::sync::Arc::clone(&decoded.consumed);
        let time = decoded.origin.timestamp;
        Value::from_object(RecordView { consumed, id: decoded.id, time, who })
    };
    let mut scope = Scope::new(event, view(None), admission.names.clone());
    let who = identity::identify(&admission.identity, &decoded, &scope.clone().into_value())?;
    scope.record = view(Some(who.clone()));
    if let Some(filter) = &admission.filter {
        match filter.test(&scope.clone().into_value()) {
            Ok(true) => {}
            Ok(false) => return Err(Refusal::FilteredOut),
            Err(error) => {
                let message = error.message;
                return Err(Refusal::Expression { place: "source.filter", message });
            }
        }
    }
    Ok(Admitted { decoded, who, hops, scope })
}

/// `ce_expirytime`, or `expires_at` of our own request.
fn expires_at(decoded: &Decoded) -> Option<i64> {
    let headers = &decoded.consumed.record.headers;
    let text = text_header(headers, "ce_expirytime")
        .or_else(|| decoded.event.get("expires_at")?.as_str().map(Into::into))?;
    text.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond())
}
