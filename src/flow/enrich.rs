//! Fourth door: what is known beside the event. Now deadline, priority and trace; later session and profile.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::admit::Admitted;
use super::identity::text_header;

/// What enriching needs.
#[derive(Debug, Clone)]
pub struct Enrichment {
    /// Time an event has from its admission.
    pub deadline: Duration,
}

/// An event with everything its stages may ask for.
#[derive(Debug)]
pub struct Enriched {
    /// The event.
    pub admitted: Admitted,
    /// No stage starts after it.
    pub deadline: Instant,
    /// Larger is more urgent; 0 when none is given.
    pub priority: i64,
    /// W3C trace context of the record.
    pub traceparent: Option<Arc<str>>,
}

/// Adds what is known.
pub fn enrich(enrichment: &Enrichment, admitted: Admitted) -> Enriched {
    let consumed = &admitted.decoded.consumed;
    let deadline = consumed.began + enrichment.deadline;
    let priority = admitted.decoded.event.get("priority").and_then(|p| p.as_i64()).unwrap_or(0);
    let traceparent = text_header(&consumed.record.headers, "traceparent")
        .filter(|text| trace_id(text).is_some());
    Enriched { deadline, priority, traceparent, admitted }
}

/// The trace id inside a `traceparent` (version 00 and later: `vv-<32 hex>-<16 hex>-ff`).
pub fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
    let valid = hex(version, 2) && hex(trace, 32) && hex(span, 16);
    (valid && version != "ff" && trace.bytes().any(|b| b != b'0')).then_some(trace)
}
