//! Where results go, and whether every stage is of use to someone.

use std::collections::BTreeSet;

use crate::base::diagnostic::Place;
use crate::base::nearest::suggestion;
use crate::pipeline::desk::{Bench, StageDesk};
use crate::pipeline::graph::Graph;
use crate::pipeline::plan::Sink;
use crate::pipeline::spec::{Reaction, Spec, TopicSink};
use crate::stage::desk::{Desk, optional};

/// The sink; `outputs` are indexes in the author's order of stages.
pub(in crate::pipeline) fn sink(
    written: &TopicSink,
    place: Place,
    spec: &Spec,
    mut desk: StageDesk<'_, '_>,
) -> Option<Sink> {
    let topic = desk.topic(&written.topic);
    let outputs = outputs(written, place, spec, desk.bench);
    let when = optional(written.when.as_ref().map(|when| desk.expression(when)));
    let value = optional(written.value.as_ref().map(|value| desk.shape(value)));
    let failures = optional(written.failures.as_ref().map(|failures| desk.topic(failures)));
    match (&written.value, &written.failures) {
        (Some(value), None) => {
            let message = "`sink.value` needs `sink.failures`".to_owned();
            let help = "name a topic that takes failed results, so that nobody waits for an answer that \
                        never comes";
            desk.error(value.place(), "failures-missing", message, Some(help.into()));
        }
        (None, Some(failures)) => {
            let message = "`sink.failures` is for a sink with `value`".to_owned();
            let help = format!("failed results go to `{}` already", written.topic.value);
            desk.error(failures.place(), "failures-unused", message, Some(help));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    Some(Sink { topic: topic?, outputs: outputs?, when: when?, value: value?, failures: failures? })
}

fn outputs(
    written: &TopicSink,
    place: Place,
    spec: &Spec,
    bench: &mut Bench<'_>,
) -> Option<Vec<usize>> {
    let names: Vec<&str> = spec.stages.iter().map(|stage| stage.name.value.as_str()).collect();
    let Some(outputs) = &written.outputs else {
        if names.len() < 2 || written.value.is_some() {
            return Some((0..names.len()).take_while(|_| written.value.is_none()).collect());
        }
        let message = "`sink.outputs` is missing: there is more than one stage";
        let help = format!(
            "name the stages whose values the result holds, such as `outputs: [{}]`",
            names.last().copied().unwrap_or_default()
        );
        bench.error(place, "outputs-missing", message, Some(help));
        return None;
    };
    let mut indexes = Vec::new();
    for output in &outputs.value {
        let name = output.value.as_str();
        match names.iter().position(|known| *known == name) {
            Some(index) if indexes.contains(&index) => {
                let message = format!("`sink.outputs` names `{name}` twice");
                bench.error(output.place(), "named-twice", message, None);
            }
            Some(index) => indexes.push(index),
            None => {
                let message =
                    format!("`sink.outputs` names `{name}`, which is no stage of this pipeline");
                let help = suggestion(name, "stages are", names.iter().copied());
                bench.error(output.place(), "unknown-stage", message, help);
                bench.unresolved = true;
            }
        }
    }
    Some(indexes)
}

/// Whether a stage's value or effect is of use to anyone; `effect` says what its kind does.
pub(in crate::pipeline) fn unused(
    spec: &Spec,
    graph: &Graph,
    outputs: &BTreeSet<usize>,
    effect: &dyn Fn(usize) -> bool,
    bench: &mut Bench<'_>,
) {
    if bench.unresolved {
        return;
    }
    for (index, stage) in spec.stages.iter().enumerate() {
        let name = stage.name.value.as_str();
        let read = outputs.contains(&index)
            || !graph.dependents(index).is_empty()
            || bench.read_by_sink.iter().any(|read| read == name);
        if !read && !effect(index) {
            let message = format!("nobody uses stage `{name}`");
            let help =
                "name it in `sink.outputs` or in the `needs` of another stage, or take it out";
            bench.error(stage.name.place(), "unused-stage", message, Some(help.into()));
        }
    }
}

/// Warns where `on_error: skip` can leave an entry of `sink.outputs` out of the result.
pub(in crate::pipeline) fn skips(
    spec: &Spec,
    graph: &Graph,
    outputs: &BTreeSet<usize>,
    bench: &mut Bench<'_>,
) {
    for (index, stage) in spec.stages.iter().enumerate() {
        let on_error = stage.common.as_ref().and_then(|common| common.on_error.as_ref());
        let Some(written) = on_error.filter(|on_error| matches!(on_error.value, Reaction::Skip))
        else {
            continue;
        };
        let lost = graph.skipped_with(index).into_iter().filter(|at| outputs.contains(at));
        let lost: Vec<String> = lost
            .filter_map(|at| spec.stages.get(at))
            .map(|entry| format!("`{}`", entry.name.value))
            .collect();
        if !lost.is_empty() {
            let message = format!(
                "when stage `{}` fails, results come without {}",
                stage.name.value,
                lost.join(", ")
            );
            let help = "write `on_error: { value: … }` to put something in its place".to_owned();
            bench.warning(written.place(), "skip-reaches-output", message, Some(help));
        }
    }
}

/// Warns where a pipeline writes to the topic it reads.
pub(in crate::pipeline) fn loops(
    source: &str,
    topics: &[(Place, std::sync::Arc<str>)],
    bench: &mut Bench<'_>,
) {
    for (place, topic) in topics {
        if &**topic == source {
            let message = format!("the pipeline writes to `{topic}`, the topic it reads");
            let help = "records come back until their hop count ends them; filter them, or write elsewhere";
            bench.warning(*place, "topic-loop", message, Some(help.into()));
        }
    }
}
