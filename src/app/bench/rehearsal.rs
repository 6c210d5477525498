//! A pipeline as it is measured: the same stages over topics and a group of its own, so that nobody's events, offsets or
//! results are touched; and models that are simulated, unless the real ones are asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;

use crate::app::topics;
use crate::codec::registry::{Which, value_subject};
use crate::codec::{CodecError, Codecs};
use crate::pipeline::plan::Plan;
use crate::settings::{LogSettings, Member, ModelSettings, Provider, SIMULATED, Settings};
use crate::stage::StageKind;
use crate::stream::From;

/// The end of the names of topics and groups.
const END: &str = ".bench";
/// The folder of a measurement's lock files and its local log, in that of the engine's.
const FOLDER: &str = "bench";

/// Gives a pipeline that is to run topics and a group of its own.
pub fn rename(plan: &mut Plan<StageKind>) {
    topics_of(plan).into_iter().for_each(own);
    own(&mut plan.group);
    plan.source.from = From::Latest;
    plan.budget.per_day = None;
}

/// Gives the settings what those topics need, and a folder apart.
pub fn apart(settings: &mut Settings, plan: &Plan<StageKind>) {
    for topic in topics_of(&mut plan.clone()) {
        if let Some(known) = settings.topics.get(topic).cloned() {
            own(topic);
            settings.topics.insert(Arc::clone(topic), known);
        }
    }
    settings.per_day = None;
    settings.state = settings.state.join(FOLDER);
    if let LogSettings::Local(local) = &mut settings.log {
        let file = local.path.file_name().map_or_else(|| PathBuf::from("log"), PathBuf::from);
        local.path = settings.state.join(file);
    }
}

fn own(name: &mut Arc<str>) {
    *name = format!("{name}{END}").into();
}

/// Where it reads and writes, but for its `publish` stages.
fn topics_of(plan: &mut Plan<StageKind>) -> Vec<&mut Arc<str>> {
    let mut topics = vec![&mut plan.source.topic, &mut plan.dead_letters, &mut plan.costs];
    topics.extend(plan.journal.as_mut());
    if let Some(sink) = &mut plan.sink {
        topics.push(&mut sink.topic);
        topics.extend(sink.failures.as_mut());
    }
    topics
}

/// Registers the schemas of the pipeline's topics for those that it is measured with, where a registry has them.
pub async fn lend_schemas(codecs: &Codecs, plan: &Plan<StageKind>) -> Result<(), CodecError> {
    let registry = codecs.registry();
    for need in topics::needs(std::slice::from_ref(plan)) {
        let Some(before) = need.name.strip_suffix(END) else { continue };
        if let Some(known) = registry.find(&value_subject(before), Which::Latest).await? {
            registry.register(&value_subject(&need.name), &known.schema.text).await?;
        }
    }
    Ok(())
}

/// Puts a simulated model that takes so long in the place of every one that the pipeline asks.
pub fn simulate(settings: &mut Settings, plan: &Plan<StageKind>, takes: Duration) {
    settings.providers.insert(SIMULATED.into(), Provider::simulated());
    for name in plan.stages.iter().flat_map(|stage| stage.kind.facts().models) {
        let before = settings.models.get(&name).and_then(|model| model.members().first());
        let member = Member {
            provider: SIMULATED.into(),
            model: format!("{name}+slow-{}ms", takes.as_millis()).into(),
            free: true,
            params: Map::new(),
            dimensions: before.and_then(|member| member.dimensions),
            max_in_flight: None,
        };
        settings.models.insert(name, ModelSettings::One(member));
    }
}
