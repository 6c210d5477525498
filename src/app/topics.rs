//! Which topics a set of plans reads and writes, whether they are there, and making them when that is allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::{CodecError, CodecErrorKind, Codecs, Content};
use crate::pipeline::plan::Plan;
use crate::stage::StageKind;
use crate::stream::{Log, StreamError, Topic};

/// The setting of the largest record that a topic takes.
const LARGEST: &str = "max.message.bytes";
/// Bytes of it where nobody set it.
const USUAL: u64 = 1_048_588;
/// Bytes that the headers of a dead letter may need beside its record.
const REASONS: u64 = 64 << 10;
/// Partitions of a call journal that is made here: each is a request of its own, every few milliseconds. Where inputs have
/// more, they share them, and who takes one over reads some of what was done meanwhile of the others, too.
pub const JOURNAL: i32 = 4;

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Events come in.
    Source,
    /// Results go out.
    Sink,
    /// Failed results, beside values of the user's own.
    Failures,
    /// A `publish` stage writes to it.
    Published,
    /// Cost events.
    Costs,
    /// Dead letters.
    DeadLetters,
    /// Calls and answers of a group.
    Journal,
    /// The start-up probe writes to it.
    Probe,
}

impl Role {
    /// One or two words.
    pub fn word(self) -> &'static str {
        match self {
            Role::Source => "source",
            Role::Sink => "results",
            Role::Failures => "failed results",
            Role::Published => "published",
            Role::Costs => "costs",
            Role::DeadLetters => "dead letters",
            Role::Journal => "call journal",
            Role::Probe => "start-up probe",
        }
    }
}

/// A topic that some plan needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Name.
    pub name: Arc<str>,
    /// What for.
    pub role: Role,
    /// What it will hold.
    pub content: Content,
    /// The topics it should have as many partitions as; of several, as the one with the most.
    pub like: Vec<Arc<str>>,
    /// The pipelines that need it.
    pub pipelines: Vec<Arc<str>>,
}

/// Every topic that the plans need, each once, sources first. One that is read by one plan and written by another is a
/// source.
pub fn needs<'p>(plans: impl IntoIterator<Item = &'p Plan<StageKind>>) -> Vec<Need> {
    let mut found: BTreeMap<Arc<str>, Need> = BTreeMap::new();
    for plan in plans {
        let source = &plan.source.topic;
        let mut put = |name: &Arc<str>, role: Role, content: Content, like: Option<&Arc<str>>| {
            let need = found.entry(Arc::clone(name)).or_insert_with(|| Need {
                name: Arc::clone(name),
                role,
                content,
                like: Vec::new(),
                pipelines: Vec::new(),
            });
            need.like.extend(like.cloned());
            need.role = need.role.min(role);
            if content != Content::Own {
                need.content = content;
            }
            if need.pipelines.last() != Some(&plan.name) {
                need.pipelines.push(Arc::clone(&plan.name));
            }
        };
        put(source, Role::Source, Content::Own, None);
        if let Some(sink) = &plan.sink {
            let content = if sink.value.is_some() { Content::Own } else { Content::Result };
            put(&sink.topic, Role::Sink, content, Some(source));
            if let Some(failures) = &sink.failures {
                put(failures, Role::Failures, Content::Result, Some(source));
            }
        }
        for stage in &plan.stages {
            for topic in stage.kind.facts().topics {
                put(&topic, Role::Published, Content::Own, Some(source));
            }
        }
        put(&plan.costs, Role::Costs, Content::Cost, None);
        if let Some(journal) = &plan.journal {
            put(journal, Role::Journal, Content::Own, Some(source));
        }
        put(&plan.dead_letters, Role::DeadLetters, Content::Own, Some(source));
    }
    let mut needs: Vec<Need> = found.into_values().collect();
    needs.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
    needs
}

/// The topics that are not there.
pub async fn missing(log: &dyn Log, needs: &[Need]) -> Result<Vec<Need>, StreamError> {
    let there = log.topics().await?;
    let absent = |need: &&Need| there.iter().all(|topic| topic.name != need.name);
    Ok(needs.iter().filter(absent).cloned().collect())
}

/// Makes the topics that are not there. `partitions` is what the settings say of a topic; else it follows the topic it
/// should be like, a journal up to [`JOURNAL`]; else it has one.
pub async fn create(
    log: &dyn Log,
    needs: &[Need],
    partitions: impl Fn(&str) -> Option<i32>,
) -> Result<Vec<Topic>, StreamError> {
    let there = log.topics().await?;
    let count =
        |name: &str| there.iter().find(|topic| &*topic.name == name).map(|topic| topic.partitions);
    let largest = |name: &Arc<str>| {
        let topic = there.iter().find(|topic| topic.name == *name)?;
        let limit = topic.config.iter().find(|(setting, _)| setting == LARGEST)?;
        limit.1.parse::<u64>().ok()
    };
    let mut made: Vec<Topic> = Vec::new();
    for need in missing(log, needs).await? {
        let of = |like: &Arc<str>| partitions(like).or_else(|| count(like));
        let like = need.like.iter().filter_map(of).max();
        let like = match need.role {
            Role::Journal => like.map(|inputs| inputs.min(JOURNAL)),
            _ => like,
        };
        made.push(Topic {
            partitions: partitions(&need.name).or(like).unwrap_or(1),
            config: config(need.role, need.like.iter().filter_map(largest).max()),
            name: need.name,
        });
    }
    if !made.is_empty() {
        log.create(&made).await?;
    }
    Ok(made)
}

/// Dead letters keep the time they were written: a backlog's old timestamps must not make retention delete them at once.
/// They take whatever record the topic they are like takes, `largest` bytes, and the reasons beside it.
fn config(role: Role, largest: Option<u64>) -> Vec<(String, String)> {
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match role {
        Role::DeadLetters => vec![
            setting("message.timestamp.type", "LogAppendTime"),
            setting("retention.ms", "1209600000"),
            setting(LARGEST, &(largest.unwrap_or(USUAL) + REASONS).to_string()),
        ],
        // Long enough for a replay of what failed last week.
        Role::Journal => vec![setting("retention.ms", "604800000")],
        Role::Source
        | Role::Sink
        | Role::Failures
        | Role::Published
        | Role::Costs
        | Role::Probe => Vec::new(),
    }
}

/// Makes sure that the schemas of what will be written are registered; what is wrong, in words. An error when the
/// registry does not answer.
pub async fn schemas(
    codecs: &Codecs,
    needs: &[Need],
    create: bool,
) -> Result<Vec<String>, CodecError> {
    let mut wrong = Vec::new();
    for need in needs {
        if matches!(need.role, Role::Source | Role::DeadLetters | Role::Journal | Role::Probe) {
            continue;
        }
        match codecs.prepare(&need.name, need.content, create).await {
            Ok(()) => {}
            Err(error) if error.kind == CodecErrorKind::Unavailable => return Err(error),
            Err(error) => wrong.push(format!("topic `{}`: {error}", need.name)),
        }
    }
    Ok(wrong)
}
