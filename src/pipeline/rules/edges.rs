//! Names of stages and the edges between them.

use std::collections::BTreeMap;

use crate::base::nearest::suggestion;
use crate::base::yaml::Spanned;
use crate::pipeline::desk::Bench;
use crate::pipeline::graph::Graph;
use crate::pipeline::names::{RESERVED, reserved, well_formed};
use crate::pipeline::spec::{Spec, StageEntry};

/// Checks that every stage's name can be one.
pub(in crate::pipeline) fn stage_names(spec: &Spec, bench: &mut Bench<'_>) {
    for StageEntry { name, .. } in &spec.stages {
        let text = name.value.as_str();
        if !well_formed(text) {
            let message = format!("`{text}` can't be the name of a stage");
            let meant = text.to_lowercase().replace(['-', ' ', '.'], "_");
            let help = match well_formed(&meant) {
                true => format!("write `{meant}`: names are lower-case letters, digits and `_`"),
                false => {
                    "start with a lower-case letter; go on with lower-case letters, digits and `_`"
                        .into()
                }
            };
            bench.error(name.place(), "bad-name", message, Some(help));
        } else if reserved(text) {
            let message = format!("`{text}` is a reserved name");
            let why = match RESERVED.contains(&text) {
                true => "it means something in templates, now or later",
                false => "it is a word of the template language",
            };
            bench.error(
                name.place(),
                "reserved-name",
                message,
                Some(format!("{why}; choose another")),
            );
        }
    }
}

/// Resolves `needs` and `wants`. An edge that can't be resolved is left out.
pub(in crate::pipeline) fn graph(spec: &Spec, bench: &mut Bench<'_>) -> Graph {
    let names: Vec<&str> = spec.stages.iter().map(|stage| stage.name.value.as_str()).collect();
    let mut graph = Graph::default();
    for stage in &spec.stages {
        let mut seen = BTreeMap::new();
        let (needs, wants) = stage
            .common
            .as_ref()
            .map(|common| (common.needs.as_slice(), common.wants.as_slice()))
            .unwrap_or_default();
        let mut resolve = |list: &[Spanned<String>], key: &'static str| -> Vec<usize> {
            list.iter()
                .filter_map(|name| edge(&names, stage, name, key, &mut seen, bench))
                .collect()
        };
        let needs = resolve(needs, "needs");
        let wants = resolve(wants, "wants");
        graph.needs.push(needs);
        graph.wants.push(wants);
    }
    graph
}

fn edge(
    names: &[&str],
    stage: &StageEntry,
    input: &Spanned<String>,
    key: &'static str,
    seen: &mut BTreeMap<String, &'static str>,
    bench: &mut Bench<'_>,
) -> Option<usize> {
    let (own, name) = (stage.name.value.as_str(), input.value.as_str());
    let Some(index) = names.iter().position(|known| *known == name) else {
        let message = format!("stage `{own}` {key} `{name}`, which is no stage of this pipeline");
        let others = names.iter().copied().filter(|other| *other != own);
        bench.error(
            input.place(),
            "unknown-stage",
            message,
            suggestion(name, "stages are", others),
        );
        bench.unresolved = true;
        return None;
    };
    if let Some(first) = seen.insert(name.to_owned(), key) {
        let message = match first == key {
            true => format!("stage `{own}` {key} `{name}` twice"),
            false => format!("stage `{own}` both needs and wants `{name}`"),
        };
        let help = "`needs`: it must be done; `wants`: it is waited for, and none when it failed";
        bench.error(input.place(), "named-twice", message, Some(help.into()));
        return None;
    }
    Some(index)
}

/// The order of stages; cycles are taken down.
pub(in crate::pipeline) fn order(spec: &Spec, graph: &Graph, bench: &mut Bench<'_>) -> Vec<usize> {
    let (order, cycles) = graph.order();
    for cycle in cycles {
        let entries: Vec<&StageEntry> =
            cycle.iter().filter_map(|at| spec.stages.get(*at)).collect();
        let Some(first) = entries.first() else { continue };
        let path: Vec<String> =
            entries.iter().chain([first]).map(|entry| format!("`{}`", entry.name.value)).collect();
        let message = match entries.len() {
            1 => format!("stage {} waits for itself", path.first().map_or("", String::as_str)),
            _ => format!("stages wait for each other: {}", path.join(" → ")),
        };
        let help = "take one of them out of `needs` or `wants`".to_owned();
        bench.error(first.name.place(), "stage-cycle", message, Some(help));
    }
    order
}
