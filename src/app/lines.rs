//! From a checked plan to the doors of its corridor.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::clock::Clock;
use crate::codec::{Codec, Codecs};
use crate::context::memory::shelf::Collections;
use crate::flow::Line;
use crate::flow::admit::Admission;
use crate::flow::decode::Decoder;
use crate::flow::effects::Hands;
use crate::flow::emit::Emitter;
use crate::flow::enrich::Enrichment;
use crate::flow::identity::Expressions;
use crate::flow::outage::Outages;
use crate::flow::run::Runner;
use crate::model::Purse;
use crate::pipeline::plan::Plan;
use crate::stage::{BuildError, Seat, StageKind, Wiring};

/// What every line of a process shares.
pub struct Shared {
    /// Cluster id of the log.
    pub cluster: Arc<str>,
    /// Codecs by topic.
    pub codecs: Arc<Codecs>,
    /// Services that stages call.
    pub wiring: Wiring,
    /// Time and draws.
    pub clock: Arc<dyn Clock>,
    /// What is down.
    pub outages: Outages,
    /// Currency of every amount.
    pub currency: Arc<str>,
    /// Price catalogue.
    pub catalogue: Option<Arc<str>>,
    /// How many partitions a topic has, as far as that is known.
    pub partitions: HashMap<Arc<str>, i32>,
}

/// Makes the purse of an event.
pub type Purses = Box<dyn Fn() -> Arc<dyn Purse> + Send + Sync>;

/// Builds the stages of a plan and hangs its doors.
pub fn line(
    shared: &Shared,
    plan: Plan<StageKind>,
    identity: Expressions,
    purses: Purses,
) -> Result<Line, BuildError> {
    let written = written(&plan);
    let pipeline = Arc::clone(&plan.name);
    let plan = Arc::new(plan.try_map(|stage, kind: StageKind| {
        let seat = Seat { pipeline: Arc::clone(&pipeline), stage: Arc::clone(&stage.name) };
        kind.build(&seat, &shared.wiring).map(Arc::from)
    })?);
    // What an event of this pipeline waits for pauses this pipeline.
    let outages = shared.outages.of(&plan.name);
    let runner = Runner::new(Arc::clone(&plan), Arc::clone(&shared.clock), outages.clone());
    let codecs: HashMap<Arc<str>, Arc<dyn Codec>> = written
        .into_iter()
        .map(|topic| (Arc::clone(&topic), shared.codecs.for_topic(&topic)))
        .collect();
    let collections: Arc<Collections> = Arc::clone(&shared.wiring.collections);
    let counted = |topic: &Arc<str>| shared.partitions.get(topic).copied().unwrap_or(0);
    Ok(Line {
        journal_partitions: plan.journal.as_ref().map_or(0, counted),
        decoder: Decoder {
            codec: shared.codecs.for_topic(&plan.source.topic),
            tombstones: plan.source.tombstones,
            cluster: Arc::clone(&shared.cluster),
            group: Arc::clone(&plan.group),
            outages: outages.clone(),
            clock: Arc::clone(&shared.clock),
        },
        admission: Admission {
            identity,
            filter: plan.source.filter.clone(),
            names: runner.names(),
        },
        enrichment: Enrichment { deadline: plan.deadline },
        runner,
        purses,
        hands: Hands { collections, outages: outages.clone(), clock: Arc::clone(&shared.clock) },
        emitter: Emitter {
            source: format!("vivremotion/{}", plan.name).into(),
            letter_partitions: counted(&plan.dead_letters),
            plan,
            codecs,
            currency: Arc::clone(&shared.currency),
            catalogue: shared.catalogue.clone(),
            clock: Arc::clone(&shared.clock),
            outages,
        },
        clock: Arc::clone(&shared.clock),
    })
}

/// The topics whose values a plan encodes. Dead letters are copied, not encoded.
fn written(plan: &Plan<StageKind>) -> Vec<Arc<str>> {
    let mut topics = vec![Arc::clone(&plan.costs)];
    if let Some(sink) = &plan.sink {
        topics.push(Arc::clone(&sink.topic));
        topics.extend(sink.failures.clone());
    }
    for stage in &plan.stages {
        topics.extend(stage.kind.facts().topics);
    }
    topics
}
