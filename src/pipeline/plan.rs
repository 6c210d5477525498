//! What will run: a pipeline that passed every check, with names resolved to indexes and texts compiled. Only `check`
//! makes one. The corridor reads it and nothing else of the pipeline.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::base::template::{Expression, Shape};
use crate::event::money::Money;
use crate::stream::From;

/// One pipeline. `S` is what a stage's kind is at this moment: its checked parameters first, a built stage once the
/// services are wired (see [`Plan::try_map`]).
#[derive(Clone, Debug)]
pub struct Plan<S> {
    /// Name.
    pub name: Arc<str>,
    /// The author's label.
    pub version: Option<Arc<str>>,
    /// Digest of the file and everything it includes: the true version.
    pub digest: Arc<str>,
    /// Consumer group.
    pub group: Arc<str>,
    /// Where events come from.
    pub source: Source,
    /// Time an event has from its admission.
    pub deadline: Duration,
    /// Limits.
    pub budget: BudgetPlan,
    /// Stages, topologically ordered: every input stands before its user; ties in the author's order.
    pub stages: Vec<StagePlan<S>>,
    /// Where results go; none for `sink: none`.
    pub sink: Option<Sink>,
    /// Topic of dead letters.
    pub dead_letters: Arc<str>,
    /// Topic of cost events.
    pub costs: Arc<str>,
    /// Topic of the group's call journal; none where none is kept.
    pub journal: Option<Arc<str>>,
}

/// Where events come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Topic.
    pub topic: Arc<str>,
    /// Start of a group that never committed.
    pub from: From,
    /// Whether events of one key run one after another.
    pub ordered: bool,
    /// What does not pass is counted and nothing else.
    pub filter: Option<Expression>,
    /// What a null value means.
    pub tombstones: Tombstones,
}

/// What a null value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tombstones {
    /// Counted, nothing else.
    Skip,
    /// An event whose value is null.
    Deliver,
    /// A dead letter.
    DeadLetter,
}

/// Limits of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct BudgetPlan {
    /// Of one event.
    pub per_event: Option<Money>,
    /// Of one UTC day.
    pub per_day: Option<Money>,
    /// For ever.
    pub total: Option<Money>,
    /// At the day's or the total limit: true pauses intake, false fails the event.
    pub wait: bool,
}

/// One node of the graph.
#[derive(Clone, Debug)]
pub struct StagePlan<S> {
    /// Name.
    pub name: Arc<str>,
    /// Kind, a verb.
    pub verb: &'static str,
    /// The kind.
    pub kind: S,
    /// A twin with another model, for `on_error: { model: … }`.
    pub fallback: Option<S>,
    /// Indexes of stages that must be done.
    pub needs: Vec<usize>,
    /// Indexes of stages that are waited for.
    pub wants: Vec<usize>,
    /// False skips the stage.
    pub when: Option<Expression>,
    /// Fan-out over a list.
    pub each: Option<EachPlan>,
    /// The whole stage (or item): all attempts and waits.
    pub timeout: Duration,
    /// Attempts in all.
    pub attempts: u32,
    /// What a failure means.
    pub on_error: Recovery,
    /// What a service that is down means.
    pub on_down: OnDown,
    /// Whether a failure that nothing recovers fails the event: false only when every dependent merely wants it and
    /// it is no output.
    pub vital: bool,
}

/// Fan-out.
#[derive(Clone, Debug)]
pub struct EachPlan {
    /// The list.
    pub of: Expression,
    /// Items at a time.
    pub max_in_flight: usize,
    /// Longest list.
    pub max_items: usize,
    /// Items that must be done.
    pub min_success: MinSuccess,
}

/// How many items must be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MinSuccess {
    /// Part of all, 0 to 1.
    Share(f64),
    /// A number.
    Count(usize),
}

/// What a stage's failure means.
#[derive(Clone, Debug)]
pub enum Recovery {
    /// The stage failed.
    Fail,
    /// As if `when` had been false.
    Skip,
    /// This value stands in, and the result is degraded.
    Value(Shape),
    /// The stage's `fallback` runs, a twin with another model.
    Model,
}

/// What a service that is down means.
#[derive(Clone, Debug)]
pub enum OnDown {
    /// Intake pauses, the event's deadline stops, it is tried again.
    Wait,
    /// The stage failed.
    Fail,
    /// This value stands in, and the result is degraded.
    Value(Value),
}

/// Where results go.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Topic.
    pub topic: Arc<str>,
    /// Indexes of the stages whose values the result holds.
    pub outputs: Vec<usize>,
    /// A completed event that does not pass yields no result.
    pub when: Option<Expression>,
    /// The user's own value, instead of our result.
    pub value: Option<Shape>,
    /// Topic of failed results, in our schema, when `value` is set.
    pub failures: Option<Arc<str>>,
}

impl<S> Plan<S> {
    /// Index of each stage's name.
    pub fn indices(&self) -> HashMap<Arc<str>, usize> {
        let named = self.stages.iter().enumerate();
        named.map(|(index, stage)| (Arc::clone(&stage.name), index)).collect()
    }

    /// The same plan with every kind replaced, or the first error.
    pub fn try_map<T, E>(
        self,
        mut build: impl FnMut(&StagePlan<()>, S) -> Result<T, E>,
    ) -> Result<Plan<T>, E> {
        let Plan {
            name,
            version,
            digest,
            group,
            source,
            deadline,
            budget,
            stages,
            sink,
            dead_letters,
            costs,
            journal,
        } = self;
        let mut built = Vec::with_capacity(stages.len());
        for stage in stages {
            let (bare, kind, fallback) = stage.split();
            let kind = build(&bare, kind)?;
            let fallback = fallback.map(|twin| build(&bare, twin)).transpose()?;
            built.push(bare.with(kind, fallback));
        }
        Ok(Plan {
            name,
            version,
            digest,
            group,
            source,
            deadline,
            budget,
            stages: built,
            sink,
            dead_letters,
            costs,
            journal,
        })
    }
}

impl<S> StagePlan<S> {
    fn split(self) -> (StagePlan<()>, S, Option<S>) {
        let StagePlan {
            name,
            verb,
            kind,
            fallback,
            needs,
            wants,
            when,
            each,
            timeout,
            attempts,
            on_error,
            on_down,
            vital,
        } = self;
        let bare = StagePlan {
            name,
            verb,
            kind: (),
            fallback: None,
            needs,
            wants,
            when,
            each,
            timeout,
            attempts,
            on_error,
            on_down,
            vital,
        };
        (bare, kind, fallback)
    }

    fn with<T>(self, kind: T, fallback: Option<T>) -> StagePlan<T> {
        let StagePlan {
            name,
            verb,
            needs,
            wants,
            when,
            each,
            timeout,
            attempts,
            on_error,
            on_down,
            vital,
            ..
        } = self;
        StagePlan {
            name,
            verb,
            kind,
            fallback,
            needs,
            wants,
            when,
            each,
            timeout,
            attempts,
            on_error,
            on_down,
            vital,
        }
    }
}
