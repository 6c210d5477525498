//! Counters of one group: a member tells what happens, this turns it into metrics and log lines. Handles are kept, since
//! looking one up costs a microsecond.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::Line;
use super::emit::Emitted;
use super::member::Watch;
use super::run::Completed;
use crate::event::cost::Attempt;
use crate::journal::Memory;
use crate::stream::{CommitError, Progress, StreamError, TopicPartition};
use crate::telemetry::names::{self, label};
use crate::telemetry::{counter, gauge, histogram};

/// See the module.
pub struct Observed {
    group: Arc<str>,
    in_flight: Gauge,
    partitions: Gauge,
    stopped: Counter,
    commits: Counter,
    failures: Counter,
    commit_duration: Histogram,
    commit_events: Counter,
    outputs: Counter,
    lines: Mutex<HashMap<Arc<str>, LineMeters>>,
    letters: Mutex<bool>,
}

struct LineMeters {
    outcomes: HashMap<&'static str, Counter>,
    duration: Histogram,
    overhead: Histogram,
    queue: Histogram,
    stages: HashMap<(Arc<str>, &'static str), Histogram>,
    calls: HashMap<CallLabels, CallMeters>,
}

#[derive(PartialEq, Eq, Hash)]
struct CallLabels {
    operation: &'static str,
    provider: Arc<str>,
    model: Arc<str>,
    outcome: Cow<'static, str>,
}

struct CallMeters {
    duration: Histogram,
    cost: Counter,
    unpriced: Counter,
    tokens: HashMap<&'static str, Counter>,
}

impl Observed {
    /// For the member of that group.
    pub fn new(group: Arc<str>) -> Self {
        let by = [(label::GROUP, &*group)];
        let commits = |outcome| counter(names::COMMITS, &[by[0], (label::OUTCOME, outcome)]);
        Observed {
            in_flight: gauge(names::IN_FLIGHT, &by),
            partitions: gauge(names::PARTITIONS, &by),
            stopped: counter(names::STOPPED, &by),
            commits: commits("ok"),
            failures: commits("failed"),
            commit_duration: histogram(names::COMMIT_DURATION, &by),
            commit_events: counter(names::COMMIT_EVENTS, &by),
            outputs: counter(names::OUTPUTS, &by),
            lines: Mutex::default(),
            letters: Mutex::new(false),
            group,
        }
    }

    /// The first dead letter of a run is worth a line; the others are counted.
    fn dead_letter(&self, event: &Emitted) {
        let mut told = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(refusal), false) = (&event.refusal, *told) else { return };
        *told = true;
        let code = refusal.failure().code;
        tracing::warn!(
            at = %event.at, offset = event.offset, code, reason = %refusal,
            "first dead letter of this run; later ones are counted"
        );
    }
}

impl Watch for Observed {
    fn started(&self, _line: &Line) {
        self.in_flight.increment(1.0);
    }

    fn settled(&self, line: &Line, event: &Emitted) {
        self.in_flight.decrement(1.0);
        let plan = &line.emitter.plan;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.contains_key(&plan.name) {
            lines.insert(Arc::clone(&plan.name), LineMeters::new(&plan.name));
        }
        if let Some(meters) = lines.get_mut(&plan.name) {
            meters.count(&plan.name, event);
        }
        drop(lines);
        if matches!(event.outcome.word(), "failed" | "dead_lettered") {
            self.dead_letter(event);
        }
    }

    fn committed(&self, events: usize, outputs: usize, took: Duration) {
        self.commits.increment(1);
        self.commit_duration.record(took);
        self.commit_events.increment(events as u64);
        self.outputs.increment(outputs as u64);
    }

    fn commit_failed(&self, error: &CommitError) {
        self.failures.increment(1);
        tracing::warn!(group = %self.group, %error, "a commit failed");
    }

    fn assigned(&self, at: &TopicPartition, progress: &Progress, lag: i64) {
        self.partitions.increment(1.0);
        let done = progress.high - progress.base - progress.incomplete.len() as i64;
        tracing::info!(
            group = %self.group, %at, offset = progress.base, lag, done_above = done.max(0),
            "partition assigned"
        );
    }

    fn restored(&self, at: &TopicPartition, memory: &Memory) {
        let (events, answers, unsettled) = memory.counts();
        if events > 0 {
            tracing::info!(
                group = %self.group, %at, events, answers, unsettled,
                "unfinished events found in the journal: their answers are not paid again"
            );
        }
    }

    fn stopped(&self, error: &StreamError) {
        self.stopped.increment(1);
        tracing::error!(group = %self.group, %error, "a partition stands still");
    }

    fn released(&self, at: &TopicPartition) {
        self.partitions.decrement(1.0);
        tracing::info!(group = %self.group, %at, "partition given up");
    }
}

impl LineMeters {
    fn new(pipeline: &str) -> Self {
        let by = [(label::PIPELINE, pipeline)];
        LineMeters {
            outcomes: HashMap::new(),
            duration: histogram(names::EVENT_DURATION, &by),
            overhead: histogram(names::EVENT_OVERHEAD, &by),
            queue: histogram(names::EVENT_QUEUE, &by),
            stages: HashMap::new(),
            calls: HashMap::new(),
        }
    }

    fn count(&mut self, pipeline: &str, event: &Emitted) {
        let outcome = event.outcome.word();
        let by = [(label::PIPELINE, pipeline), (label::OUTCOME, outcome)];
        self.outcomes.entry(outcome).or_insert_with(|| counter(names::EVENTS, &by)).increment(1);
        let Some(completed) = &event.completed else { return };
        let consumed = &event.consumed;
        let queued = (consumed.received_at - consumed.record.timestamp).max(0);
        self.queue.record(Duration::from_millis(queued.unsigned_abs()));
        self.count_run(pipeline, completed);
    }

    fn count_run(&mut self, pipeline: &str, completed: &Completed) {
        self.duration.record(completed.duration);
        self.overhead.record(completed.duration.saturating_sub(completed.busy));
        for run in &completed.runs {
            let key = (Arc::clone(&run.name), run.status);
            let by = [
                (label::PIPELINE, pipeline),
                (label::STAGE, &run.name),
                (label::OUTCOME, run.status),
            ];
            let stage =
                self.stages.entry(key).or_insert_with(|| histogram(names::STAGE_DURATION, &by));
            stage.record(Duration::from_micros(run.duration_us.unsigned_abs()));
        }
        for attempt in &completed.attempts {
            let labels = CallLabels {
                operation: attempt.operation,
                provider: Arc::clone(&attempt.provider),
                model: Arc::clone(&attempt.request_model),
                outcome: attempt.outcome.clone(),
            };
            let meters = self
                .calls
                .entry(labels)
                .or_insert_with_key(|labels| CallMeters::new(pipeline, labels));
            meters.count(attempt);
        }
    }
}

impl CallMeters {
    fn new(pipeline: &str, labels: &CallLabels) -> Self {
        let pipeline = (label::PIPELINE, pipeline);
        let provider = (label::PROVIDER, &*labels.provider);
        let model = (label::REQUEST_MODEL, &*labels.model);
        let error = if labels.outcome == "ok" { "" } else { &labels.outcome };
        let operation = (label::OPERATION, labels.operation);
        let calls = [operation, provider, model, (label::ERROR, error)];
        CallMeters {
            duration: histogram(names::OPERATION_DURATION, &calls),
            cost: counter(names::COST, &[pipeline, provider, model]),
            unpriced: counter(names::UNPRICED, &[pipeline, provider, model]),
            tokens: HashMap::new(),
        }
    }

    fn count(&mut self, attempt: &Attempt) {
        self.duration.record(Duration::from_micros(attempt.duration_us.unsigned_abs()));
        match attempt.amount {
            Some(amount) => self.cost.increment(u64::try_from(amount.0).unwrap_or(0)),
            None => self.unpriced.increment(1),
        }
        for (part, tokens) in attempt.usage.parts() {
            let by = [
                (label::OPERATION, attempt.operation),
                (label::PROVIDER, &attempt.provider),
                (label::REQUEST_MODEL, &attempt.request_model),
                (label::TOKEN_TYPE, part.trim_end_matches("_tokens")),
            ];
            self.tokens
                .entry(part)
                .or_insert_with(|| counter(names::TOKEN_USAGE, &by))
                .increment(tokens);
        }
    }
}
