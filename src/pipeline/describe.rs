//! A plan as text: what will run, with every default written out. What a reviewer reads when a pipeline changes.

use std::fmt::Write as _;
use std::time::Duration;

use crate::base::clock;
use crate::base::quantity::Span;
use crate::stage::StageKind;
use crate::stream::From;

use super::plan::{
    BudgetPlan, MinSuccess, OnDown, Plan, Recovery, Sink, Source, StagePlan, Tombstones,
};

/// The whole plan. Amounts are in `currency`, which holds for all settings.
pub fn text(plan: &Plan<StageKind>, currency: &str) -> String {
    let mut out = format!("pipeline {}\n", plan.name);
    if let Some(version) = &plan.version {
        line(&mut out, 1, "version", version);
    }
    line(&mut out, 1, "digest", &plan.digest);
    line(&mut out, 1, "group", &plan.group);
    line(&mut out, 1, "deadline", &duration(plan.deadline));
    line(&mut out, 1, "budget", &budget(&plan.budget, currency));
    source(&mut out, &plan.source);
    for stage in &plan.stages {
        one_stage(&mut out, stage, plan);
    }
    match &plan.sink {
        Some(written) => sink(&mut out, written, plan),
        None => out.push_str("sink none\n"),
    }
    let _ = writeln!(out, "dead letters {}", plan.dead_letters);
    let _ = writeln!(out, "costs {}", plan.costs);
    out
}

fn line(out: &mut String, level: usize, name: &str, value: &str) {
    let _ = writeln!(out, "{:indent$}{name}: {value}", "", indent = level * 2);
}

fn duration(duration: Duration) -> String {
    Span(duration).to_string()
}

fn budget(budget: &BudgetPlan, currency: &str) -> String {
    let limits =
        [("per_event", budget.per_event), ("per_day", budget.per_day), ("total", budget.total)];
    let written = limits.into_iter().filter_map(|(name, limit)| Some((name, limit?)));
    let mut parts: Vec<String> =
        written.map(|(name, limit)| format!("{name} {limit} {currency}")).collect();
    if parts.is_empty() {
        return "none".to_owned();
    }
    if budget.per_day.is_some() || budget.total.is_some() {
        parts.push(format!("on_breach {}", if budget.wait { "wait" } else { "fail" }));
    }
    parts.join(", ")
}

fn source(out: &mut String, source: &Source) {
    let _ = writeln!(out, "source {}", source.topic);
    let from = match source.from {
        From::Earliest => "earliest".to_owned(),
        From::Latest => "latest".to_owned(),
        From::Time(time) => clock::rfc3339(time).unwrap_or_else(|| format!("{time} ms")),
    };
    line(out, 1, "from", &from);
    line(out, 1, "order", if source.ordered { "key" } else { "none" });
    let tombstones = match source.tombstones {
        Tombstones::Skip => "skip",
        Tombstones::Deliver => "deliver",
        Tombstones::DeadLetter => "dead_letter",
    };
    line(out, 1, "tombstones", tombstones);
    if let Some(filter) = &source.filter {
        line(out, 1, "filter", filter.source());
    }
}

fn names(indexes: &[usize], plan: &Plan<StageKind>) -> String {
    let names = indexes.iter().filter_map(|index| plan.stages.get(*index));
    names.map(|stage| &*stage.name).collect::<Vec<_>>().join(", ")
}

fn one_stage(out: &mut String, stage: &StagePlan<StageKind>, plan: &Plan<StageKind>) {
    let _ = write!(out, "stage {} = {}", stage.name, stage.verb);
    if !stage.needs.is_empty() {
        let _ = write!(out, " <- {}", names(&stage.needs, plan));
    }
    if !stage.wants.is_empty() {
        let _ = write!(out, " <~ {}", names(&stage.wants, plan));
    }
    out.push('\n');
    let facts = stage.kind.facts();
    for (name, value) in &facts.settings {
        line(out, 1, name, value);
    }
    if let Some(when) = &stage.when {
        line(out, 1, "when", when.source());
    }
    if let Some(each) = &stage.each {
        let least = match each.min_success {
            MinSuccess::Share(share) => format!("{share:?}"),
            MinSuccess::Count(count) => count.to_string(),
        };
        let fan = format!(
            "{}, max_in_flight {}, max_items {}, min_success {least}",
            each.of.source(),
            each.max_in_flight,
            each.max_items
        );
        line(out, 1, "each", &fan);
    }
    line(out, 1, "timeout", &duration(stage.timeout));
    line(out, 1, "attempts", &stage.attempts.to_string());
    let models = |kind: &StageKind| kind.facts().models.join(", ");
    let on_error = match (&stage.on_error, &stage.fallback) {
        (Recovery::Fail, _) if !stage.vital => "fail (the event goes on)".to_owned(),
        (Recovery::Fail, _) => "fail".to_owned(),
        (Recovery::Skip, _) => "skip".to_owned(),
        (Recovery::Value(_), _) => "value".to_owned(),
        (Recovery::Model, twin) => {
            format!("model {}", twin.as_ref().map(models).unwrap_or_default())
        }
    };
    line(out, 1, "on_error", &on_error);
    if facts.service {
        let on_down = match &stage.on_down {
            OnDown::Wait => "wait".to_owned(),
            OnDown::Fail => "fail".to_owned(),
            OnDown::Value(value) => format!("value {value}"),
        };
        line(out, 1, "on_down", &on_down);
    }
}

fn sink(out: &mut String, sink: &Sink, plan: &Plan<StageKind>) {
    let _ = writeln!(out, "sink {}", sink.topic);
    if sink.value.is_none() || !sink.outputs.is_empty() {
        line(out, 1, "outputs", &names(&sink.outputs, plan));
    }
    if let Some(when) = &sink.when {
        line(out, 1, "when", when.source());
    }
    if sink.value.is_some() {
        line(out, 1, "value", "the author's own");
    }
    if let Some(failures) = &sink.failures {
        line(out, 1, "failures", failures);
    }
}
