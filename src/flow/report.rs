//! Results and cost events of one event, as values.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::emit::{Emitter, Known, attributes, result_id};
use super::enrich::trace_id;
use super::refusal::Refusal;
use super::run::Completed;
use crate::event::cost::{Attempt, CostEvent};
use crate::event::identity::Identity;
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

/// The result of an event.
pub fn result(emitter: &Emitter, known: &Known<'_>, subject: Subject<'_>) -> ResultEvent {
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
            id: result_id(plan, known.id, "result", 0).to_string(),
            kind: "vivremotion.result".to_owned(),
            ..identity(emitter, known, completed.map(Completed::event))
        },
        event_id: known.id.to_string(),
        request_id: known.who.request_id.as_deref().map(str::to_owned),
        origin: known.origin.clone(),
        replay_of: known.replay_of.map(str::to_owned),
        pipeline: plan.name.to_string(),
        version: plan.version.as_deref().map(str::to_owned),
        digest: plan.digest.to_string(),
        group: plan.group.to_string(),
        status: if refusal.is_some() { "failed" } else { "completed" },
        degraded: completed.is_some_and(|completed| completed.degraded),
        index: 0,
        is_final: true,
        error: refusal.map(Refusal::failure),
        outputs: ran.map_or_else(BTreeMap::new, |completed| outputs(emitter, completed)),
        stages: completed.map_or_else(Vec::new, |completed| completed.runs.clone()),
        amount,
        currency: emitter.currency.to_string(),
        unpriced_calls: unpriced,
        catalogue: emitter.catalogue.as_deref().map(str::to_owned),
        received_at: consumed.received_at,
        duration_us: micros(duration),
        queue_us: (consumed.received_at - consumed.record.timestamp).max(0).saturating_mul(1000),
        overhead_us: micros(duration.saturating_sub(busy)),
        trace_id: known.traceparent.and_then(|text| trace_id(text)).map(str::to_owned),
    }
}

/// The values of the stages named in `sink.outputs` that are done: text verbatim, JSON as JSON text.
fn outputs(emitter: &Emitter, completed: &Completed) -> BTreeMap<String, OutputValue> {
    let Some(sink) = &emitter.plan.sink else { return BTreeMap::new() };
    let shown = |stage: &usize| {
        let value = completed.values[*stage].as_ref()?;
        let (content_type, value) = match value {
            Json::String(text) => ("text/plain", text.clone()),
            other => ("application/json", other.to_string()),
        };
        let name = emitter.plan.stages[*stage].name.to_string();
        Some((name, OutputValue { content_type: content_type.to_owned(), value }))
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

fn identity(emitter: &Emitter, known: &Known<'_>, event: Option<&Json>) -> Identity {
    Identity {
        id: String::new(),
        source: format!("vivremotion/{}", emitter.plan.name),
        kind: String::new(),
        subject: known.who.subject.as_deref().map(str::to_owned),
        tenant: Some(known.who.tenant.to_string()),
        user: known.who.user.as_deref().map(str::to_owned),
        session: known.who.session.as_deref().map(str::to_owned),
        attributes: event.map(attributes).unwrap_or_default(),
    }
}

/// The cost event of one attempt; `event` is the value it was made for, if that could be read.
pub fn cost(
    emitter: &Emitter,
    known: &Known<'_>,
    event: Option<&Json>,
    attempt: &Attempt,
) -> CostEvent {
    let plan = &emitter.plan;
    CostEvent {
        identity: Identity {
            id: attempt.id.to_string(),
            kind: "vivremotion.cost".to_owned(),
            ..identity(emitter, known, event)
        },
        time: attempt.started_at + attempt.duration_us / 1000,
        kind: "charge",
        adjusts: None,
        batch_id: attempt.batch_id.clone(),
        event_id: known.id.to_string(),
        request_id: known.who.request_id.as_deref().map(str::to_owned),
        pipeline: plan.name.to_string(),
        version: plan.version.as_deref().map(str::to_owned),
        digest: plan.digest.to_string(),
        stage: attempt.stage.to_string(),
        item: attempt.item.and_then(|item| i32::try_from(item).ok()),
        attempt: i32::try_from(attempt.number).unwrap_or(i32::MAX),
        operation: attempt.operation.to_owned(),
        provider: attempt.provider.clone(),
        account: attempt.account.clone(),
        region: None,
        request_model: attempt.request_model.clone(),
        response_model: attempt.response_model.clone(),
        service_tier: "default".to_owned(),
        provider_request_id: attempt.provider_request_id.clone(),
        lines: attempt.lines.clone(),
        amount: attempt.amount,
        currency: emitter.currency.to_string(),
        price_status: attempt.price_status.to_owned(),
        catalogue: attempt.catalogue.clone(),
        cached: false,
        saved: None,
        outcome: attempt.outcome.clone(),
        finish_reason: attempt.finish_reason.clone(),
        duration_us: attempt.duration_us,
        ttfc_us: attempt.ttfc_us,
    }
}
