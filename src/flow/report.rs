//! Results and cost events of one event, as values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::emit::{Emitter, Known, attributes};
use super::enrich::trace_id;
use super::refusal::Refusal;
use super::run::Completed;
use crate::event::cost::{Attempt, CostEvent};
use crate::event::identity::Identity;
use crate::event::ids::ResultId;
use crate::event::money::Money;
use crate::event::result::{OutputValue, ResultEvent};

/// What a result speaks of.
pub enum Subject<'a> {
    /// An event that ran, well or not.
    Ran(&'a Completed),
    /// One that ran, and whose outputs were refused.
    Undone(&'a Completed, &'a Refusal),
    /// One that was refused before it ran, and what earlier runs of it spent.
    Refused(&'a Refusal, &'a [Attempt]),
}

/// The result of an event, under that id.
pub fn result<'a>(
    emitter: &'a Emitter,
    known: &'a Known<'_>,
    id: ResultId,
    subject: Subject<'a>,
) -> ResultEvent<'a> {
    let plan = &emitter.plan;
    let consumed = known.consumed;
    // What could not be written is not tried again in the result that says so.
    let (ran, completed, refusal, attempts) = match subject {
        Subject::Ran(completed) => {
            let refusal = completed.verdict.as_ref().err();
            (Some(completed), Some(completed), refusal, &*completed.attempts)
        }
        Subject::Undone(completed, refusal) => {
            (None, Some(completed), Some(refusal), &*completed.attempts)
        }
        Subject::Refused(refusal, attempts) => (None, None, Some(refusal), attempts),
    };
    let (amount, unpriced) = total(attempts);
    let micros =
        |duration: std::time::Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let duration = completed.map_or_else(|| consumed.began.elapsed(), |c| c.duration);
    let busy = completed.map_or(std::time::Duration::ZERO, |c| c.busy);
    ResultEvent {
        identity: Identity {
            id: id.0,
            kind: "vivremotion.result",
            ..identity(emitter, known, completed.map(Completed::event))
        },
        event_id: known.id,
        request_id: known.who.request_id.as_deref(),
        origin: Cow::Borrowed(known.origin),
        replay_of: known.replay_of,
        pipeline: &plan.name,
        version: plan.version.as_deref(),
        digest: &plan.digest,
        group: &plan.group,
        status: if refusal.is_some() { "failed" } else { "completed" },
        degraded: completed.is_some_and(|completed| completed.degraded),
        index: 0,
        is_final: true,
        error: refusal.map(Refusal::failure),
        outputs: ran.map_or_else(BTreeMap::new, |completed| outputs(emitter, completed)),
        stages: Cow::Borrowed(completed.map_or(&[], |completed| &completed.runs)),
        amount,
        currency: &emitter.currency,
        unpriced_calls: unpriced,
        catalogue: emitter.catalogue.as_deref(),
        received_at: consumed.received_at,
        duration_us: micros(duration),
        queue_us: (consumed.received_at - consumed.record.timestamp).max(0).saturating_mul(1000),
        overhead_us: micros(duration.saturating_sub(busy)),
        trace_id: known.traceparent.and_then(|text| trace_id(text)),
    }
}

/// The values of the stages named in `sink.outputs` that are done: text verbatim, JSON as JSON text.
fn outputs<'a>(
    emitter: &'a Emitter,
    completed: &'a Completed,
) -> BTreeMap<&'a str, OutputValue<'a>> {
    let Some(sink) = &emitter.plan.sink else { return BTreeMap::new() };
    let shown = |stage: &usize| {
        let value = completed.values[*stage].as_ref()?;
        let (content_type, value) = match value {
            Json::String(text) => ("text/plain", Cow::Borrowed(text.as_str())),
            other => ("application/json", Cow::Owned(other.to_string())),
        };
        Some((&*emitter.plan.stages[*stage].name, OutputValue { content_type, value }))
    };
    sink.outputs.iter().filter_map(shown).collect()
}

/// The sum of what is priced, none when calls were made and no price is known; and the number of unpriced calls.
fn total(attempts: &[Attempt]) -> (Option<Money>, i32) {
    let priced: Vec<Money> = attempts.iter().filter_map(|attempt| attempt.amount).collect();
    let unpriced = attempts.len() - priced.len();
    let amount = (!priced.is_empty() || attempts.is_empty()).then(|| priced.into_iter().sum());
    (amount, i32::try_from(unpriced).unwrap_or(i32::MAX))
}

fn identity<'a>(
    emitter: &'a Emitter,
    known: &'a Known<'_>,
    event: Option<&'a Json>,
) -> Identity<'a> {
    Identity {
        source: &emitter.source,
        subject: known.who.subject.as_deref(),
        tenant: Some(&known.who.tenant),
        user: known.who.user.as_deref(),
        session: known.who.session.as_deref(),
        attributes: event.map(attributes).unwrap_or_default(),
        ..Identity::default()
    }
}

/// The cost event of one attempt; `event` is the value it was made for, if that could be read.
pub fn cost<'a>(
    emitter: &'a Emitter,
    known: &'a Known<'_>,
    event: Option<&'a Json>,
    attempt: &'a Attempt,
) -> CostEvent<'a> {
    let plan = &emitter.plan;
    CostEvent {
        identity: Identity {
            id: attempt.id.0,
            kind: "vivremotion.cost",
            ..identity(emitter, known, event)
        },
        time: attempt.started_at + attempt.duration_us / 1000,
        kind: "charge",
        adjusts: None,
        batch_id: attempt.batch_id.as_deref(),
        event_id: known.id,
        request_id: known.who.request_id.as_deref(),
        pipeline: &plan.name,
        version: plan.version.as_deref(),
        digest: &plan.digest,
        stage: &attempt.stage,
        item: attempt.item.and_then(|item| i32::try_from(item).ok()),
        attempt: i32::try_from(attempt.number).unwrap_or(i32::MAX),
        operation: attempt.operation,
        provider: &attempt.provider,
        account: &attempt.account,
        region: None,
        request_model: &attempt.request_model,
        response_model: attempt.response_model.as_deref(),
        service_tier: "default",
        provider_request_id: attempt.provider_request_id.as_deref(),
        lines: Cow::Borrowed(&attempt.lines),
        amount: attempt.amount,
        currency: &emitter.currency,
        price_status: attempt.price_status,
        catalogue: attempt.catalogue.as_deref(),
        cached: false,
        saved: None,
        outcome: &attempt.outcome,
        finish_reason: attempt.finish_reason.as_deref(),
        duration_us: attempt.duration_us,
        ttfc_us: attempt.ttfc_us,
    }
}
