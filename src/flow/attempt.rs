//! The attempts of one stage (or of one item): tries, waits and gives up, by the class of the error. Stages themselves
//! never retry.

use std::sync::Arc;
use std::time::Duration;

use minijinja::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::outage::Outages;
use super::run::EventDeadline;
use crate::base::clock::Clock;
use crate::base::halt::Halt;
use crate::base::retry::{Backoff, CALLS};
use crate::budget::ENGINE_PER_DAY;
use crate::event::result::PassageScore;
use crate::journal::Pages;
use crate::model::{Call, Meter, OverBudget, Purse};
use crate::pipeline::plan::OnDown;
use crate::stage::{Effect, Reply, Stage, StageError, StageErrorKind};

/// Between two probes of a service that is down.
const OUTAGE: Backoff = Backoff { base: Duration::from_millis(500), most: Duration::from_secs(15) };
/// Between two looks at a budget that is spent: calls under way may give back what they had set aside.
const BUDGET: Backoff = Backoff { base: Duration::from_secs(2), most: Duration::from_secs(60) };

/// What every attempt of an event shares.
pub struct Surroundings {
    /// Wall time and draws.
    pub clock: Arc<dyn Clock>,
    /// Where a service that is down is named.
    pub outages: Outages,
    /// Whether a day's or total limit pauses (else it fails the event).
    pub wait_for_budget: bool,
    /// The event's deadline, moved by waits that are not its fault.
    pub deadline: EventDeadline,
    /// Set when the event has failed or its partition was given up: no new attempt starts.
    pub halt: Arc<Halt>,
    /// Whose money.
    pub tenant: Arc<str>,
    /// To send along.
    pub traceparent: Option<Arc<str>>,
    /// Where attempts are written.
    pub meter: Arc<dyn Meter>,
    /// Where money is reserved.
    pub purse: Arc<dyn Purse>,
    /// Where calls are written down.
    pub journal: Arc<Pages>,
}

/// What to try.
pub struct Trial<'a> {
    /// The built stage.
    pub stage: &'a dyn Stage,
    /// Its names.
    pub scope: &'a Value,
    /// Its place in the event.
    pub key: crate::event::ids::StageKey,
    /// All attempts and waits, without waits for services that are down.
    pub timeout: Duration,
    /// Attempts in all.
    pub attempts: u32,
    /// Those of them that failed in earlier runs of the event.
    pub failed: u32,
    /// What a service that is down means.
    pub on_down: &'a OnDown,
}

/// How a trial ended well.
#[derive(Debug)]
pub enum Success {
    /// The stage answered.
    Reply(Reply),
    /// Its service is down and this stands in.
    StandIn(serde_json::Value),
}

/// How a trial failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `transient`, `permanent`, `budget`, `deadline`, `cancelled`, `panic`.
    pub class: &'static str,
    /// Word with dashes.
    pub code: String,
    /// One sentence.
    pub message: String,
}

impl Fault {
    /// Whether `on_error` may catch it: never a budget, never the end of the event itself.
    pub fn is_recoverable(&self) -> bool {
        matches!(self.class, "transient" | "permanent" | "deadline")
    }

    fn of(error: &StageError, class: &'static str) -> Self {
        Fault { class, code: error.code.to_owned(), message: error.message.clone() }
    }
}

/// What an attempt's failure calls for.
enum Next {
    Retry(Duration),
    AwaitService(Arc<str>),
    AwaitBudget(OverBudget),
    StandIn(serde_json::Value),
    GiveUp(Fault),
}

/// Tries until it succeeds, or may not be tried any more.
pub async fn attempt(trial: Trial<'_>, around: &Surroundings) -> Result<Success, Fault> {
    let mut deadline = (Instant::now() + trial.timeout).min(around.deadline.get());
    // One is always left: why the last one failed was not written down.
    let (mut used, mut looks, mut ordinal) = (trial.failed.min(trial.attempts - 1), 0, 0);
    let mut patience = around.outages.patience();
    loop {
        if around.halt.is_set() {
            return Err(cancelled());
        }
        ordinal += 1;
        let call = Call {
            key: trial.key.clone(),
            attempt: ordinal,
            deadline,
            tenant: Arc::clone(&around.tenant),
            traceparent: around.traceparent.clone(),
            meter: Arc::clone(&around.meter),
            purse: Arc::clone(&around.purse),
            journal: Arc::clone(&around.journal),
            halt: Arc::clone(&around.halt),
        };
        let error = match timeout_at(deadline, trial.stage.run(trial.scope, &call)).await {
            Ok(Ok(reply)) => {
                patience.answered();
                return Ok(Success::Reply(reply));
            }
            Ok(Err(error)) => error,
            Err(_) => return Err(out_of_time(&trial, around)),
        };
        if matches!(error.kind, StageErrorKind::Transient | StageErrorKind::Permanent) {
            patience.answered();
        }
        match next(&trial, around, &error, &mut used) {
            Next::GiveUp(fault) => return Err(fault),
            Next::StandIn(value) => return Ok(Success::StandIn(value)),
            Next::Retry(wait) if Instant::now() + wait >= deadline => {
                return Err(Fault::of(&error, "transient"));
            }
            Next::Retry(wait) => sleep(wait).await,
            Next::AwaitService(service) => {
                let began = Instant::now();
                let draw = around.clock.draw() as u64;
                patience.turn_unless(&around.halt, &service, &error, &OUTAGE, draw).await;
                deadline += around.deadline.forgive(began);
            }
            Next::AwaitBudget(over) => {
                let began = Instant::now();
                let left = over.until.map_or(i64::MAX, |until| until - around.clock.now());
                let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
                looks += 1;
                let pause = left.min(BUDGET.wait(looks, around.clock.draw() as u64, None));
                match over.limit {
                    ENGINE_PER_DAY => {
                        patience.pause_everybody(over.limit, &over.message, pause).await
                    }
                    _ => patience.pause(over.limit, &over.message, pause).await,
                }
                deadline += around.deadline.forgive(began);
            }
        }
    }
}

fn next(trial: &Trial<'_>, around: &Surroundings, error: &StageError, used: &mut u32) -> Next {
    match &error.kind {
        StageErrorKind::Permanent => Next::GiveUp(Fault::of(error, "permanent")),
        StageErrorKind::Halted => Next::GiveUp(cancelled()),
        StageErrorKind::Transient => {
            *used += 1;
            match *used < trial.attempts {
                true => {
                    Next::Retry(CALLS.wait(*used, around.clock.draw() as u64, error.retry_after))
                }
                false => Next::GiveUp(Fault::of(error, "transient")),
            }
        }
        StageErrorKind::Down(service) => match trial.on_down {
            OnDown::Wait => Next::AwaitService(Arc::clone(service)),
            OnDown::Fail => Next::GiveUp(Fault::of(error, "transient")),
            OnDown::Value(value) => Next::StandIn(value.clone()),
        },
        StageErrorKind::Budget(over) => match around.wait_for_budget && !over.for_good {
            true => Next::AwaitBudget(over.clone()),
            false => Next::GiveUp(Fault {
                class: "budget",
                code: "over-budget".to_owned(),
                message: over.message.clone(),
            }),
        },
    }
}

fn out_of_time(trial: &Trial<'_>, around: &Surroundings) -> Fault {
    let (code, message) = match around.deadline.get() <= Instant::now() {
        true => ("event-deadline", "the event's `deadline` passed".to_owned()),
        false => ("timeout", format!("took longer than its `timeout` of {:?}", trial.timeout)),
    };
    Fault { class: "deadline", code: code.to_owned(), message }
}

fn cancelled() -> Fault {
    Fault {
        class: "cancelled",
        code: "cancelled".to_owned(),
        message: "another stage had failed the event".to_owned(),
    }
}

/// What a stage that ended brings along.
#[derive(Debug, Default)]
pub struct Yield {
    /// Ids and scores of passages.
    pub passages: Vec<PassageScore>,
    /// To be done with the event's success.
    pub effects: Vec<Effect>,
}
