//! Fifth door: the stages. Each starts the moment its own inputs are ready; a failure that nothing recovers ends the
//! event once what runs has ended. A panic costs its event, not the process.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::attempt::{Surroundings, Yield};
use super::decode::Decoded;
use super::enrich::Enriched;
use super::headers;
use super::meter::{EventMeter, SharedMeter};
use super::outage::Outages;
use super::refusal::Refusal;
use super::schedule::{End, Graph, Schedule, Step};
use super::scope::{Names, Scope};
use super::unit::{self, Ended, Unit};
use crate::base::clock::Clock;
use crate::base::halt::Halt;
use crate::base::template::from_json;
use crate::event::cost::Attempt;
use crate::event::money::Money;
use crate::event::result::StageRun;
use crate::journal::{Pages, restore};
use crate::model::Purse;
use crate::pipeline::plan::{Plan, StagePlan};
use crate::stage::{Effect, Stage};

/// A plan whose stages are built.
pub type BuiltPlan = Plan<Arc<dyn Stage>>;

/// What running needs.
pub struct Runner {
    /// The plan.
    pub plan: Arc<BuiltPlan>,
    graph: Graph,
    names: Names,
    clock: Arc<dyn Clock>,
    outages: Outages,
}

/// An event whose stages have ended.
#[derive(Debug)]
pub struct Completed {
    /// The event.
    pub enriched: Enriched,
    /// Why it failed, if it did.
    pub verdict: Result<(), Refusal>,
    /// By stage: the value of those that are done.
    pub values: Vec<Option<Json>>,
    /// What every stage (and item) did, in plan order.
    pub runs: Vec<StageRun>,
    /// Every attempt of every call.
    pub attempts: Vec<Attempt>,
    /// To be done, since the event succeeded; empty when it failed.
    pub effects: Vec<Effect>,
    /// Whether a value stood in for a stage.
    pub degraded: bool,
    /// What templates see at the end.
    pub scope: Scope,
    /// From admission to the end of the last stage.
    pub duration: Duration,
    /// The part of it in which a call was open.
    pub busy: Duration,
}

impl Completed {
    /// The value of the event.
    pub fn event(&self) -> &Json {
        &self.enriched.admitted.decoded.event
    }

    /// What a failure tells of it, should its outputs prove unwritable. The rest is most of its memory, which goes here,
    /// where it was taken, and not after the commit that many events wait for.
    pub fn told(mut self) -> Self {
        let decoded = &mut self.enriched.admitted.decoded;
        let tags = decoded.event.get("attributes").cloned();
        decoded.event = Arc::new(tags.map_or(Json::Null, |tags| json!({ "attributes": tags })));
        self.enriched.admitted.scope.forget();
        self.scope.forget();
        self.values = Vec::new();
        self.effects = Vec::new();
        self
    }
}

/// The moment an event must be done by. Waits that are not its fault move it.
#[derive(Debug, Clone)]
pub struct EventDeadline(Arc<Mutex<Instant>>);

impl EventDeadline {
    /// At that moment.
    pub fn at(moment: Instant) -> Self {
        EventDeadline(Arc::new(Mutex::new(moment)))
    }

    /// The moment now.
    pub fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves it by the time since `began`, which is returned.
    pub fn forgive(&self, began: Instant) -> Duration {
        let waited = began.elapsed();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += waited;
        waited
    }
}

impl Runner {
    /// For a built plan.
    pub fn new(plan: Arc<BuiltPlan>, clock: Arc<dyn Clock>, outages: Outages) -> Self {
        let edges = plan.stages.iter().map(|stage| (stage.needs.clone(), stage.wants.clone()));
        let names = Arc::new(plan.indices());
        Runner { graph: Graph::new(edges), names, plan, clock, outages }
    }

    /// Index of each stage's name.
    pub fn names(&self) -> Names {
        Arc::clone(&self.names)
    }
}

/// Runs the stages of one event.
pub async fn run(runner: &Runner, enriched: Enriched, purse: Arc<dyn Purse>) -> Completed {
    let meter: SharedMeter = Arc::new(EventMeter::default());
    let journal = Arc::new(pages(&enriched).await);
    for attempt in journal.recovered() {
        purse.charge(attempt.amount.unwrap_or(Money::ZERO));
        meter.recover(attempt);
    }
    let around = Surroundings {
        clock: Arc::clone(&runner.clock),
        outages: runner.outages.clone(),
        wait_for_budget: runner.plan.budget.wait,
        deadline: EventDeadline::at(enriched.deadline),
        halt: Halt::within(&enriched.admitted.decoded.consumed.tenure),
        tenant: Arc::clone(&enriched.admitted.who.tenant),
        traceparent: enriched.traceparent.clone(),
        meter: Arc::clone(&meter) as _,
        purse,
        journal: Arc::clone(&journal),
    };
    let walk = Walk::new(runner, &enriched, &around, &meter);
    let Walked { scope, values, runs, effects, degraded, verdict } = walk.finish().await;
    journal.close();
    let duration = enriched.admitted.decoded.consumed.began.elapsed();
    let (attempts, busy) = meter.finish();
    Completed {
        enriched,
        verdict,
        values,
        runs,
        attempts,
        effects,
        degraded,
        scope,
        duration,
        busy,
    }
}

/// The event's journal: what an earlier run of the same record wrote, or, for a replay, of the record it repeats.
async fn pages(enriched: &Enriched) -> Pages {
    let Decoded { consumed, id, .. } = &enriched.admitted.decoded;
    let Some(mut binding) = consumed.journal.clone() else { return Pages::none() };
    if binding.recalled.is_none()
        && let ranges = headers::journal_ranges(&consumed.record.headers)
        && !ranges.is_empty()
    {
        match restore::of_event(binding.book.writer(), &ranges, *id).await {
            Ok(recalled) => binding.recalled = recalled,
            Err(error) => {
                tracing::warn!(event = %id, %error, "finished calls of a replay are paid again")
            }
        }
    }
    Pages::new(binding, *id)
}

/// One event's walk through its plan.
struct Walk<'a> {
    runner: &'a Runner,
    enriched: &'a Enriched,
    around: &'a Surroundings,
    meter: &'a SharedMeter,
    schedule: Schedule<'a>,
    first: Vec<Step>,
    running: FuturesUnordered<BoxFuture<'a, (usize, Ended)>>,
    scope: Scope,
    values: Vec<Option<Json>>,
    runs: Vec<Vec<StageRun>>,
    yields: Vec<Yield>,
    degraded: bool,
    verdict: Result<(), Refusal>,
}

/// What a walk comes to.
struct Walked {
    scope: Scope,
    values: Vec<Option<Json>>,
    runs: Vec<StageRun>,
    effects: Vec<Effect>,
    degraded: bool,
    verdict: Result<(), Refusal>,
}

impl<'a> Walk<'a> {
    fn new(
        runner: &'a Runner,
        enriched: &'a Enriched,
        around: &'a Surroundings,
        meter: &'a SharedMeter,
    ) -> Self {
        let (schedule, first) = Schedule::start(&runner.graph);
        let stages = runner.plan.stages.len();
        Walk {
            runner,
            enriched,
            around,
            meter,
            schedule,
            first,
            running: FuturesUnordered::new(),
            scope: enriched.admitted.scope.clone(),
            values: vec![None; stages],
            runs: vec![Vec::new(); stages],
            yields: Vec::new(),
            degraded: false,
            verdict: Ok(()),
        }
    }

    async fn finish(mut self) -> Walked {
        let first = std::mem::take(&mut self.first);
        self.take(first);
        while let Some((stage, ended)) = self.running.next().await {
            let end = self.settle(stage, ended);
            let steps = self.schedule.settle(stage, end);
            self.take(steps);
        }
        for stage in 0..self.runs.len() {
            if self.runs[stage].is_empty() {
                let reason = "another stage had failed the event".to_owned();
                self.runs[stage] = vec![self.not_run(stage, "cancelled", reason)];
            }
        }
        let effects = match self.verdict {
            Ok(()) => self.yields.into_iter().flat_map(|brought| brought.effects).collect(),
            Err(_) => Vec::new(),
        };
        // Made to measure: a run is large, and waits with its event for the commit.
        let mut runs = Vec::with_capacity(self.runs.iter().map(Vec::len).sum());
        runs.extend(self.runs.into_iter().flatten());
        Walked {
            scope: self.scope,
            values: self.values,
            runs,
            effects,
            degraded: self.degraded,
            verdict: self.verdict,
        }
    }

    fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Run(stage) => self.start(stage),
                Step::Skip { stage, because } => {
                    let needed = &self.runner.plan.stages[because].name;
                    let reason = format!("it needs `{needed}`, which is not done");
                    self.values[stage] = None;
                    self.scope.values[stage] = minijinja::Value::from(());
                    self.scope.statuses[stage] = "skipped";
                    self.runs[stage] = vec![self.not_run(stage, "skipped", reason)];
                }
            }
        }
    }

    fn start(&mut self, stage: usize) {
        let plan: &'a StagePlan<Arc<dyn Stage>> = &self.runner.plan.stages[stage];
        let unit = Unit {
            plan,
            event: self.enriched.admitted.decoded.id,
            scope: self.scope.clone(),
            around: self.around,
            meter: self.meter,
        };
        let work = AssertUnwindSafe(unit::run(unit)).catch_unwind();
        self.running.push(Box::pin(async move {
            let ended = work.await.unwrap_or_else(|_| Ended::panicked(plan));
            (stage, ended)
        }));
    }

    /// Writes down how a stage ended, and decides what that means for the event.
    fn settle(&mut self, stage: usize, ended: Ended) -> End {
        let plan = &self.runner.plan.stages[stage];
        let Ended { status, value, runs, brought, fault } = ended;
        self.runs[stage] = runs;
        self.scope.statuses[stage] = status;
        self.degraded |= status == "recovered";
        self.scope.values[stage] = value.as_ref().map_or(minijinja::Value::from(()), from_json);
        let end = match (&value, &fault) {
            (Some(_), _) => End::Done,
            (None, None) => End::Skipped,
            (None, Some(_)) => End::Failed,
        };
        self.values[stage] = value;
        self.yields.push(brought);
        let beyond_wanting = |class| matches!(class, "budget" | "panic");
        if let Some(fault) = fault.filter(|fault| plan.vital || beyond_wanting(fault.class)) {
            self.schedule.halt();
            self.around.halt.set();
            if self.verdict.is_ok() {
                self.verdict = Err(fault.refusal(&plan.name));
            }
        }
        end
    }

    fn not_run(&self, stage: usize, status: &'static str, reason: String) -> StageRun {
        let plan = &self.runner.plan.stages[stage];
        StageRun {
            name: Arc::clone(&plan.name),
            kind: plan.verb,
            status,
            reason: Some(reason),
            started_at: self.around.clock.now(),
            ..StageRun::default()
        }
    }
}
