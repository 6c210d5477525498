//! One stage of one event: its condition, its items, its attempts, and what its failure means.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use minijinja::Value;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::attempt::{Fault, Success, Surroundings, Trial, Yield, attempt};
use super::meter::SharedMeter;
use super::refusal::Refusal;
use super::scope::Scope;
use crate::base::failpoint;
use crate::base::template::{TemplateError, to_json};
use crate::event::ids::{EventId, StageKey};
use crate::event::result::StageRun;
use crate::pipeline::plan::{EachPlan, MinSuccess, Recovery, StagePlan};
use crate::stage::Stage;

/// A stage that may start.
pub struct Unit<'a> {
    /// The stage.
    pub plan: &'a StagePlan<Arc<dyn Stage>>,
    /// The event.
    pub event: EventId,
    /// What templates see now.
    pub scope: Scope,
    /// What all attempts of the event share.
    pub around: &'a Surroundings,
    /// Where its attempts are written.
    pub meter: &'a SharedMeter,
}

/// How a stage ended.
#[derive(Debug)]
pub struct Ended {
    /// `done`, `skipped`, `failed`, `recovered`, `cancelled`.
    pub status: &'static str,
    /// Its value, or the one that stood in.
    pub value: Option<Json>,
    /// Its run, and those of its items.
    pub runs: Vec<StageRun>,
    /// Passages and effects.
    pub brought: Yield,
    /// Why it failed.
    pub fault: Option<Fault>,
}

impl Ended {
    /// A stage whose code panicked.
    pub fn panicked(plan: &StagePlan<Arc<dyn Stage>>) -> Self {
        let fault = Fault {
            class: "panic",
            code: "panic".to_owned(),
            message: "panicked; this is a defect of the engine".to_owned(),
        };
        let run = StageRun {
            name: Arc::clone(&plan.name),
            kind: plan.verb,
            status: "failed",
            reason: Some(fault.message.clone()),
            ..StageRun::default()
        };
        Ended {
            status: "failed",
            value: None,
            runs: vec![run],
            brought: Yield::default(),
            fault: Some(fault),
        }
    }
}

impl Fault {
    /// As the reason why an event failed.
    pub fn refusal(self, stage: &str) -> Refusal {
        match self.class {
            "panic" => Refusal::Panic { stage: stage.to_owned() },
            class => Refusal::Stage {
                stage: stage.to_owned(),
                class,
                code: self.code,
                message: self.message,
            },
        }
    }

    fn expression(place: &str, error: TemplateError) -> Self {
        Fault {
            class: "permanent",
            code: "expression".to_owned(),
            message: format!("`{place}`: {}", error.message),
        }
    }
}

/// Runs it to its end.
pub async fn run(unit: Unit<'_>) -> Ended {
    let started = Started::now(&unit);
    let scope = unit.scope.clone().into_value();
    failpoint::reached_with("stage.run", || format!("{} {}", unit.plan.name, unit.scope.event));
    match unit.plan.when.as_ref().map(|when| when.test(&scope)) {
        Some(Ok(false)) => {
            let reason = "its `when` is false".to_owned();
            return started.end(&unit, "skipped", None, Yield::default(), Some(reason), None);
        }
        Some(Err(error)) => {
            let fault = Fault::expression("when", error);
            return started.failed(&unit, fault);
        }
        Some(Ok(true)) | None => {}
    }
    match &unit.plan.each {
        None => one(&unit, None, &scope).await,
        Some(each) => items(&unit, each, &scope, started).await,
    }
}

/// One stage without items, or one item.
async fn one(unit: &Unit<'_>, item: Option<u32>, scope: &Value) -> Ended {
    let started = Started::now_for(unit, item);
    let first = tried(unit, item, scope, &unit.plan.kind).await;
    let fault = match first {
        Ok(Success::Reply(reply)) => {
            let brought = Yield { passages: reply.passages, effects: reply.effects };
            return started.end(unit, "done", Some(reply.value), brought, None, None);
        }
        Ok(Success::StandIn(value)) => {
            let reason = "its service is down, a value stands in".to_owned();
            let brought = Yield::default();
            return started.end(unit, "recovered", Some(value), brought, Some(reason), None);
        }
        Err(fault) => fault,
    };
    if !fault.is_recoverable() {
        return started.failed(unit, fault);
    }
    match (&unit.plan.on_error, &unit.plan.fallback) {
        (Recovery::Skip, _) => {
            started.end(unit, "skipped", None, Yield::default(), Some(fault.message), None)
        }
        (Recovery::Value(shape), _) => match shape.render(scope) {
            Ok(value) => {
                let reason = Some(fault.message);
                started.end(unit, "recovered", Some(value), Yield::default(), reason, None)
            }
            Err(error) => started.failed(unit, Fault::expression("on_error.value", error)),
        },
        (Recovery::Model, Some(twin)) => match tried(unit, item, scope, twin).await {
            Ok(Success::Reply(reply)) => {
                let brought = Yield { passages: reply.passages, effects: reply.effects };
                let reason = Some(fault.message);
                started.end(unit, "done", Some(reply.value), brought, reason, None)
            }
            Ok(Success::StandIn(value)) => {
                let reason = Some(fault.message);
                started.end(unit, "recovered", Some(value), Yield::default(), reason, None)
            }
            Err(second) => started.failed(unit, second),
        },
        (Recovery::Fail, _) | (Recovery::Model, None) => started.failed(unit, fault),
    }
}

async fn tried(
    unit: &Unit<'_>,
    item: Option<u32>,
    scope: &Value,
    stage: &Arc<dyn Stage>,
) -> Result<Success, Fault> {
    let trial = Trial {
        stage: &**stage,
        scope,
        key: StageKey { event: unit.event, stage: Arc::clone(&unit.plan.name), item },
        timeout: unit.plan.timeout,
        attempts: unit.plan.attempts.max(1),
        failed: unit.meter.failed_before(&unit.plan.name, item),
        on_down: &unit.plan.on_down,
    };
    attempt(trial, unit.around).await
}

/// Every item of a list, some at a time; the output is a list in the order of the input.
async fn items(unit: &Unit<'_>, each: &EachPlan, scope: &Value, started: Started) -> Ended {
    let list = match list_of(each, scope) {
        Ok(list) => list,
        Err(fault) => return started.failed(unit, fault),
    };
    let total = list.len();
    let ended: Vec<Ended> = stream::iter(list.into_iter().zip(0u32..))
        .map(|(item, index)| {
            let scope = unit.scope.with_item(item).into_value();
            async move { one(unit, Some(index), &scope).await }
        })
        .buffered(each.max_in_flight.max(1))
        .collect()
        .await;
    let done = ended.iter().filter(|item| item.value.is_some()).count();
    let recovered = ended.iter().any(|item| item.status == "recovered");
    let beyond = ended.iter().filter_map(|item| item.fault.clone()).find(|f| !f.is_recoverable());
    let (mut runs, mut values, mut brought) = (Vec::new(), Vec::new(), Yield::default());
    for item in ended {
        values.push(item.value.unwrap_or(Json::Null));
        runs.extend(item.runs);
        brought.passages.extend(item.brought.passages);
        brought.effects.extend(item.brought.effects);
    }
    let fault = beyond.or_else(|| {
        (!enough(each.min_success, done, total)).then(|| Fault {
            class: "permanent",
            code: "min-success".to_owned(),
            message: format!("{done} of {total} items are done, fewer than `min_success` asks for"),
        })
    });
    let mut ended = match fault {
        Some(fault) => match (&unit.plan.on_error, fault.is_recoverable()) {
            (Recovery::Skip, true) => {
                started.end(unit, "skipped", None, Yield::default(), Some(fault.message), None)
            }
            _ => started.failed(unit, fault),
        },
        None => {
            let status = if recovered { "recovered" } else { "done" };
            started.end(unit, status, Some(Json::Array(values)), brought, None, None)
        }
    };
    ended.runs.extend(runs);
    ended
}

fn list_of(each: &EachPlan, scope: &Value) -> Result<Vec<Value>, Fault> {
    let wrong = |message: String| Fault {
        class: "permanent",
        code: "each".to_owned(),
        message: format!("`each.of`: {message}"),
    };
    let value = each.of.eval(scope).map_err(|error| Fault::expression("each.of", error))?;
    to_json(&value).map_err(|error| Fault::expression("each.of", error)).and_then(|json| match json
    {
        Json::Array(items) if items.len() > each.max_items => {
            Err(wrong(format!("{} items, more than `max_items: {}`", items.len(), each.max_items)))
        }
        Json::Array(items) => Ok(items.iter().map(crate::base::template::from_json).collect()),
        _ => Err(wrong("the value is not a list".to_owned())),
    })
}

fn enough(min: MinSuccess, done: usize, total: usize) -> bool {
    match min {
        MinSuccess::Count(count) => done >= count.min(total),
        MinSuccess::Share(share) => done as f64 >= share * total as f64 - 1e-9,
    }
}

/// The start of a stage or an item, to be made into its run.
struct Started {
    item: Option<u32>,
    at: i64,
    began: Instant,
}

impl Started {
    fn now(unit: &Unit<'_>) -> Self {
        Started::now_for(unit, None)
    }

    fn now_for(unit: &Unit<'_>, item: Option<u32>) -> Self {
        Started { item, at: unit.around.clock.now(), began: Instant::now() }
    }

    fn failed(&self, unit: &Unit<'_>, fault: Fault) -> Ended {
        let status = if fault.class == "cancelled" { "cancelled" } else { "failed" };
        let reason = Some(fault.message.clone());
        self.end(unit, status, None, Yield::default(), reason, Some(fault))
    }

    fn end(
        &self,
        unit: &Unit<'_>,
        status: &'static str,
        value: Option<Json>,
        brought: Yield,
        reason: Option<String>,
        fault: Option<Fault>,
    ) -> Ended {
        // A stage with items leaves the figures to them: each is told once.
        let plain = unit.plan.each.is_none() || self.item.is_some();
        let tally = unit
            .meter
            .tally(|attempt| plain && attempt.stage == unit.plan.name && attempt.item == self.item);
        let last = tally.last.as_ref();
        let usage = tally.usage.parts();
        let usage = usage.map(|(part, n)| (part, i64::try_from(n).unwrap_or(i64::MAX)));
        let run = StageRun {
            name: Arc::clone(&unit.plan.name),
            kind: unit.plan.verb,
            status,
            reason,
            item: self.item.and_then(|item| i32::try_from(item).ok()),
            started_at: self.at,
            duration_us: i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX),
            provider: last.map(|attempt| attempt.provider.clone()),
            request_model: last.map(|attempt| attempt.request_model.clone()),
            response_model: last.and_then(|attempt| attempt.response_model.clone()),
            prompt_digest: unit.plan.kind.prompt_digest().cloned(),
            finish_reason: last.and_then(|attempt| attempt.finish_reason.clone()),
            attempts: i32::try_from(tally.attempts).unwrap_or(i32::MAX),
            cached: false,
            decision: last.and_then(|attempt| attempt.decision.clone()),
            passages: brought.passages.clone(),
            usage: usage.collect(),
            amount: tally.amount,
        };
        Ended { status, value, runs: vec![run], brought, fault }
    }
}
