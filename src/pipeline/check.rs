//! From text to plan: runs every rule over one pipeline file, and makes the plan when none found an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::diagnostic::{Diagnostics, Place};
use crate::base::yaml::{self, Tree};
use crate::stage::{Facts, StageKind, StageSpec};

use super::desk::{Bench, StageDesk, output};
use super::fields::Fields;
use super::graph::Graph;
use super::known::Known;
use super::names::Scope;
use super::plan::{Plan, Recovery, Sink, StagePlan};
use super::rules::{edges, head, memory, money, secrets, sink, stage};
use super::spec::{SinkSpec, Spec};

/// A pipeline that passed, with the places that rules between pipelines point at.
#[derive(Debug)]
pub struct Checked {
    /// What will run.
    pub plan: Plan<StageKind>,
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// Where its name stands.
    pub name_place: Place,
    /// Where its source's topic stands.
    pub topic_place: Place,
}

/// Checks one file's text. `folder` is where its paths start.
pub fn check(
    file: &Arc<str>,
    folder: PathBuf,
    text: &str,
    known: &Known,
) -> (Option<Checked>, Diagnostics) {
    let (tree, found) = yaml::load(file, text);
    let Some(tree) = tree else { return (None, found) };
    let mut bench = Bench {
        file: Arc::clone(file),
        yaml: text,
        folder,
        known,
        found,
        includes: BTreeMap::new(),
        told_unproven: false,
        unresolved: false,
        read_by_sink: Vec::new(),
    };
    let spec = Spec::read(file, &tree, &mut bench.found);
    let plan = plan(&spec, &tree, &mut bench);
    let place = |spanned: Option<Place>| spanned.unwrap_or_default();
    let checked = plan.filter(|_| !bench.found.has_errors()).map(|plan| Checked {
        plan,
        file: Arc::clone(file),
        name_place: place(spec.name.as_ref().map(|name| name.place())),
        topic_place: place(spec.source.as_ref().map(|source| source.topic.place())),
    });
    (checked, bench.found)
}

fn plan(spec: &Spec, tree: &Tree, bench: &mut Bench<'_>) -> Option<Plan<StageKind>> {
    secrets::inline(tree, bench);
    head::grammar(spec, bench);
    let name = head::name(spec, bench);
    let group = name.as_ref().map(|name| head::group(spec, name, bench));
    let deadline = head::deadline(spec, bench);
    let budget = money::budget(spec, bench);
    let base = base_scope(spec, bench);
    let source = spec.source.as_ref().and_then(|source| {
        let scope = Scope { staged: false, at: "`source.filter`".to_owned(), ..base.clone() };
        head::source(source, desk(bench, scope))
    });

    edges::stage_names(spec, bench);
    let graph = edges::graph(spec, bench);
    let order = edges::order(spec, &graph, bench);
    let stages = Stages::check(spec, &graph, &order, &base, deadline, bench);
    stages.services(spec, &budget, bench);

    let sink = spec.sink.as_ref().and_then(|written| match written {
        SinkSpec::None => Some(None),
        SinkSpec::Topic(written) => {
            let all = base.all.iter().zip(&stages.fields);
            let seen = all.map(|(name, fields)| (Arc::clone(name), fields.clone())).collect();
            let scope = Scope { stages: seen, at: "`sink`".to_owned(), ..base.clone() };
            sink::sink(written, spec.sink_place, spec, desk(bench, scope)).map(Some)
        }
    });
    let outputs: BTreeSet<usize> =
        sink.iter().flatten().flat_map(|sink: &Sink| sink.outputs.iter().copied()).collect();
    if sink.is_some() {
        sink::unused(spec, &graph, &outputs, &|index| stages.may_act(index), bench);
    }
    sink::skips(spec, &graph, &outputs, bench);
    if let Some(source) = &source {
        sink::loops(&source.topic, &written_topics(spec, &stages), bench);
    }
    secrets::included(bench);

    let (name, source, sink, group) = (name?, source?, sink?, group?);
    let dead_letters = bench.known.dead_letter_topic(&source.topic, &name);
    Some(Plan {
        version: spec.version.as_ref().map(|version| version.value.as_str().into()),
        digest: digest(tree, bench),
        journal: bench.known.journal_topic(&group),
        group,
        deadline,
        budget,
        sink: sink.map(|sink| renumbered(sink, &order)),
        stages: stages.plans(&graph, &order, &outputs)?,
        dead_letters,
        costs: Arc::clone(&bench.known.costs),
        source,
        name,
    })
}

fn desk<'b, 'a>(bench: &'b mut Bench<'a>, scope: Scope) -> StageDesk<'b, 'a> {
    let name = scope.stage.clone().unwrap_or_else(|| scope.at.as_str().into());
    StageDesk { bench, scope, schema: None, name }
}

fn base_scope(spec: &Spec, bench: &Bench<'_>) -> Scope {
    let topic: Arc<str> = spec.source.as_ref().map_or("", |source| &source.topic.value).into();
    let schema = bench.known.topics.get(&topic).and_then(|topic| topic.schema.as_ref());
    Scope {
        stage: None,
        at: String::new(),
        event: schema.map_or(Fields::Any, Fields::from_avro),
        topic,
        stages: BTreeMap::new(),
        all: spec.stages.iter().map(|stage| stage.name.value.as_str().into()).collect(),
        needs: Vec::new(),
        staged: true,
        item: false,
    }
}

/// The stages' checks, in the author's order.
struct Stages {
    names: Vec<Arc<str>>,
    verbs: Vec<&'static str>,
    keys: Vec<Option<stage::Keys>>,
    fields: Vec<Fields>,
}

impl Stages {
    fn check(
        spec: &Spec,
        graph: &Graph,
        order: &[usize],
        base: &Scope,
        deadline: std::time::Duration,
        bench: &mut Bench<'_>,
    ) -> Stages {
        let count = spec.stages.len();
        let mut stages = Stages {
            names: base.all.clone(),
            verbs: vec![""; count],
            keys: (0..count).map(|_| None).collect(),
            fields: vec![Fields::Any; count],
        };
        let visible = graph.visible(order);
        for index in order {
            let (Some(entry), Some(seen)) = (spec.stages.get(*index), visible.get(*index)) else {
                continue;
            };
            let named = |at: &usize| {
                base.all
                    .get(*at)
                    .zip(stages.fields.get(*at))
                    .map(|(n, f)| (Arc::clone(n), f.clone()))
            };
            let needs = graph.needs.get(*index).into_iter().flatten();
            let scope = Scope {
                stage: Some(entry.name.value.as_str().into()),
                at: format!("stage `{}`", entry.name.value),
                stages: seen.iter().filter_map(named).collect(),
                needs: needs.filter_map(|at| base.all.get(*at).cloned()).collect(),
                ..base.clone()
            };
            let keys = stage::keys(entry, scope, deadline, bench);
            let verb = entry.kind.as_ref().map_or("", |(_, spec)| spec.verb());
            let written = match &entry.kind {
                Some((_, StageSpec::Map(params))) => Some(&params.0),
                _ => None,
            };
            let schema = keys.as_ref().and_then(|keys| keys.schema.as_deref());
            let one = output(verb, written, schema);
            let each = keys.as_ref().is_some_and(|keys| keys.each.is_some());
            let recovered =
                keys.as_ref().is_some_and(|keys| matches!(keys.on_error, Recovery::Value(_)));
            let fields = match (recovered, each) {
                // What stands in for the value is the author's to know.
                (true, _) => Fields::Any,
                (false, true) => Fields::List(Box::new(one)),
                (false, false) => one,
            };
            stages.set(*index, verb, keys, fields);
        }
        stages
    }

    fn set(&mut self, at: usize, verb: &'static str, keys: Option<stage::Keys>, fields: Fields) {
        if let (Some(v), Some(k), Some(f)) =
            (self.verbs.get_mut(at), self.keys.get_mut(at), self.fields.get_mut(at))
        {
            (*v, *k, *f) = (verb, keys, fields);
        }
    }

    fn kinds(&self, index: usize) -> Vec<Facts> {
        let keys = self.keys.get(index).and_then(Option::as_ref);
        let kinds = keys.into_iter().flat_map(|keys| [Some(&keys.kind), keys.fallback.as_ref()]);
        kinds.flatten().map(|kind| kind.facts()).collect()
    }

    /// Whether a stage has an effect; one that could not be checked gets the benefit of the doubt.
    fn may_act(&self, index: usize) -> bool {
        let facts = self.kinds(index);
        facts.is_empty() || facts.iter().any(|facts| facts.effect)
    }

    fn services(&self, spec: &Spec, budget: &super::plan::BudgetPlan, bench: &mut Bench<'_>) {
        for (index, entry) in spec.stages.iter().enumerate() {
            let place = entry.kind.as_ref().map(|(place, _)| *place).unwrap_or_default();
            let facts = self.kinds(index);
            let verb = self.verbs.get(index).copied().unwrap_or_default();
            money::prices(&entry.name.value, place, &facts, budget, bench);
            memory::collections(&entry.name.value, verb, place, &facts, bench);
        }
    }

    /// In the order of the plan, with indexes of the plan.
    fn plans(
        mut self,
        graph: &Graph,
        order: &[usize],
        outputs: &BTreeSet<usize>,
    ) -> Option<Vec<StagePlan<StageKind>>> {
        let mut plans = Vec::with_capacity(order.len());
        for index in order {
            let keys = self.keys.get_mut(*index)?.take()?;
            let dependents = graph.dependents(*index);
            let only_wanted = !dependents.is_empty() && dependents.iter().all(|(_, needs)| !needs);
            plans.push(StagePlan {
                name: Arc::clone(self.names.get(*index)?),
                verb: self.verbs.get(*index)?,
                kind: keys.kind,
                fallback: keys.fallback,
                needs: positions(graph.needs.get(*index)?, order),
                wants: positions(graph.wants.get(*index)?, order),
                when: keys.when,
                each: keys.each,
                timeout: keys.timeout,
                attempts: keys.attempts,
                on_error: keys.on_error,
                on_down: keys.on_down,
                vital: !only_wanted || outputs.contains(index),
            });
        }
        Some(plans)
    }
}

/// Indexes of the author's order as indexes of the plan's.
fn positions(stages: &[usize], order: &[usize]) -> Vec<usize> {
    stages.iter().filter_map(|stage| order.iter().position(|at| at == stage)).collect()
}

fn renumbered(sink: Sink, order: &[usize]) -> Sink {
    Sink { outputs: positions(&sink.outputs, order), ..sink }
}

fn written_topics(spec: &Spec, stages: &Stages) -> Vec<(Place, Arc<str>)> {
    let mut topics = Vec::new();
    for (index, entry) in spec.stages.iter().enumerate() {
        let place = entry.kind.as_ref().map(|(place, _)| *place).unwrap_or_default();
        let written = stages.kinds(index).into_iter().flat_map(|facts| facts.topics);
        topics.extend(written.map(|topic| (place, topic)));
    }
    if let Some(SinkSpec::Topic(sink)) = &spec.sink {
        let named = [Some(&sink.topic), sink.failures.as_ref()];
        topics.extend(named.into_iter().flatten().map(|t| (t.place(), t.value.as_str().into())));
    }
    topics
}

/// Digest of the file's values and of everything it includes; comments and layout do not count, `cases` neither.
fn digest(tree: &Tree, bench: &Bench<'_>) -> Arc<str> {
    let mut value = tree.to_json();
    if let Some(map) = value.as_object_mut() {
        map.shift_remove("cases");
    }
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        // A length before each part: no two lists of parts give the same bytes.
        hasher.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(bytes);
    };
    part(value.to_string().as_bytes());
    for (path, text) in &bench.includes {
        part(path.as_bytes());
        part(text.as_bytes());
    }
    hasher.finalize().to_hex().get(..32).unwrap_or_default().into()
}
