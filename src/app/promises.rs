//! What must hold before the first record is read: pipelines that fit their schemas, topics and schemas that are there,
//! a cluster that keeps its promises. What is missing is said at once, all of it, with the mend.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::connect::{ConnectError, patiently};
use super::engine::StartError;
use super::known;
use super::topics::{self, Need, Role};
use crate::base::clock::Clock;
use crate::codec::{Codecs, Content, Format};
use crate::flow::outage::Outages;
use crate::pipeline::load::Loaded;
use crate::pipeline::plan::Plan;
use crate::settings::Settings;
use crate::stage::StageKind;
use crate::stream::kafka::{probe, probe_name, recall, remember};
use crate::stream::{Guarantee, Log};

/// Where a start takes place.
pub struct Site<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// Codecs by topic.
    pub codecs: &'a Codecs,
    /// Where what is not reachable yet is named.
    pub outages: &'a Outages,
    /// Time and draws.
    pub clock: &'a Arc<dyn Clock>,
}

/// The topics as they are once all are there.
pub struct Topics {
    /// Those that were made.
    pub made: Vec<Arc<str>>,
    /// How many partitions each has.
    pub partitions: HashMap<Arc<str>, i32>,
}

/// The plans, checked once more with the schemas of the registry where a topic has one.
pub async fn checked(
    site: &Site<'_>,
    loaded: Loaded,
    files: &[PathBuf],
) -> Result<Vec<Plan<StageKind>>, StartError> {
    let Site { settings, codecs, outages, clock } = site;
    if settings.topics.values().all(|topic| topic.value != Format::Avro) {
        return Ok(loaded.plans);
    }
    let again = patiently(outages, clock, "schema registry", async || {
        known::with_schemas(settings, codecs, files).await
    });
    match again.await? {
        Ok(loaded) => Ok(loaded.plans),
        Err(wrong) => Err(StartError::Checked(wrong)),
    }
}

/// Makes sure that every topic and schema is there; says all that is missing at once.
pub async fn there(
    site: &Site<'_>,
    log: &Arc<dyn Log>,
    plans: &[Plan<StageKind>],
    create: bool,
) -> Result<Topics, StartError> {
    let Site { settings, codecs, outages, clock } = site;
    let log = &**log;
    let mut needs: Vec<Need> = topics::needs(plans);
    needs.extend(probe_need(settings));
    let create = create || settings.kafka().is_none_or(|kafka| kafka.create);
    let made = match create {
        true => {
            let partitions =
                |name: &str| settings.topics.get(name).and_then(|topic| topic.partitions);
            let made = topics::create(log, &needs, partitions).await?;
            made.into_iter().map(|topic| topic.name).collect()
        }
        false => {
            let missing = topics::missing(log, &needs).await?;
            if !missing.is_empty() {
                return Err(StartError::Refused(absent(&missing)));
            }
            Vec::new()
        }
    };
    let wrong = patiently(outages, clock, "schema registry", async || {
        match topics::schemas(codecs, &needs, create).await {
            Ok(wrong) => Ok(wrong),
            Err(error) => Err(ConnectError::from(error)),
        }
    });
    let wrong = wrong.await?;
    if !wrong.is_empty() {
        return Err(StartError::Refused(wrong.join("\n")));
    }
    let there = log.topics().await?;
    let partitions = there.into_iter().map(|topic| (topic.name, topic.partitions)).collect();
    Ok(Topics { made, partitions })
}

/// The topic of the start-up probe, where there is something to probe.
fn probe_need(settings: &Settings) -> Option<Need> {
    let kafka = settings.kafka().filter(|kafka| kafka.guarantee == Guarantee::ExactlyOnce)?;
    Some(Need {
        name: probe_name(&kafka.config()).into(),
        role: Role::Probe,
        content: Content::Own,
        like: Vec::new(),
        pipelines: Vec::new(),
    })
}

/// Asks a cluster, once, whether it keeps what `exactly_once` rests on. The verdict is kept in the state folder.
pub async fn kept(settings: &Settings, cluster: &str) -> Result<(), StartError> {
    let kafka = settings.kafka().filter(|kafka| kafka.guarantee == Guarantee::ExactlyOnce);
    let Some(kafka) = kafka.filter(|_| !recall(&settings.state, cluster)) else { return Ok(()) };
    let verdict = probe(&kafka.config()).await?;
    if !verdict.holds() {
        return Err(StartError::Refused(format!(
            "this cluster can't keep `guarantee: exactly_once`:\n  {}\nset `log.kafka.guarantee: at_least_once`, or use another cluster",
            verdict.refusals.join("\n  ")
        )));
    }
    remember(&settings.state, cluster).map_err(|error| {
        let state = settings.state.display();
        StartError::Refused(format!("can't write to the state folder `{state}`: {error}"))
    })
}

fn absent(missing: &[Need]) -> String {
    let mut text = String::from("topics are missing:\n");
    for need in missing {
        let of = match need.pipelines.is_empty() {
            true => String::new(),
            false => format!(" of {}", need.pipelines.join(", ")),
        };
        text.push_str(&format!("  {} ({}{of})\n", need.name, need.role.word()));
    }
    text.push_str("make them, or set `log.kafka.create: true`");
    text
}
