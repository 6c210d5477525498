//! Reads what a pipeline left behind and has it audited, also while the pipeline runs: what is committed is asked before
//! and after everything else is read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::engine::expressions;
use crate::audit::expect::Expecting;
use crate::audit::records::{self, Made, Told, Whose};
use crate::audit::{Audit, Began, Check, Entry, Gone, Report, SinkTerms, Spot, Terms, TooMuch};
use crate::base::clock::Clock;
use crate::codec::{Codec, CodecErrorKind, Codecs};
use crate::flow::admit::Admission;
use crate::flow::decode::Decoder;
use crate::flow::outage::Outages;
use crate::pipeline::plan::Plan;
use crate::settings::Settings;
use crate::stage::StageKind;
use crate::stream::{Extent, Follower, From, Log, Progress, Record, StreamError, Topic, rest};

/// A transaction that is open for longer is a finding.
const OPEN: Duration = Duration::from_secs(30);
/// Between two looks at an open transaction.
const LOOK: Duration = Duration::from_millis(200);
/// Between two questions to a registry that is down.
const REGISTRY_PAUSE: Duration = Duration::from_secs(1);
/// Clocks of producers and of the log may differ by so much, milliseconds: reading begins that much before a period.
pub(super) const MARGIN: i64 = 3_600_000;

/// Where things are read from.
pub struct Desk<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The log.
    pub log: &'a dyn Log,
    /// Codecs by topic.
    pub codecs: &'a Codecs,
    /// Wall time.
    pub clock: &'a Arc<dyn Clock>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Only events whose record's time is within: from the first to before the second, milliseconds since the epoch.
    pub period: (Option<i64>, Option<i64>),
    /// Whether everything should be done by now.
    pub finished: bool,
    /// The ledger of the mock models, one call a line.
    pub ledger: Option<PathBuf>,
    /// Bound of what is held.
    pub most_events: usize,
}

/// Why an audit could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyError(pub String);

impl std::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for VerifyError {}

impl std::convert::From<StreamError> for VerifyError {
    fn from(error: StreamError) -> Self {
        VerifyError(error.message)
    }
}

impl std::convert::From<TooMuch> for VerifyError {
    fn from(error: TooMuch) -> Self {
        VerifyError(format!("{error}, with --from, --to or --last"))
    }
}

/// How far reading is: records read, records that are there.
pub type Tell<'t> = &'t mut (dyn FnMut(u64, u64) + Send);

/// Audits one pipeline.
pub async fn verify(
    desk: &Desk<'_>,
    plan: &Plan<StageKind>,
    order: &Order,
    tell: Tell<'_>,
) -> Result<Report, VerifyError> {
    let begun = Instant::now();
    let Desk { settings, log, codecs, .. } = desk;
    let source = &plan.source.topic;
    let progress: BTreeMap<i32, Progress> =
        log.committed(&plan.group, source).await?.into_iter().collect();
    let extents = log.extents(source).await?;
    if extents.is_empty() {
        return Err(VerifyError(format!("there is no topic `{source}`")));
    }
    let there = log.topics().await?;
    let topics = topics(plan);
    let (mut written, mut all) = (Vec::new(), sum(&extents));
    for topic in topics.iter().filter(|topic| is_there(&there, topic)) {
        written.extend(log.written(topic).await?);
        all += sum(&log.extents(topic).await?);
    }
    let terms = Terms {
        compacted: compacted(&there, source),
        strict_intents: settings.engine.strict_intents,
        ..terms(plan, order, &extents, progress)
    };
    let mut reading = Reading {
        desk,
        plan,
        audit: Audit::new(terms),
        order,
        there: &there,
        told: (0, all),
        tell,
    };
    if order.ledger.is_some() {
        reading.audit.with_ledger();
    }
    let decoder = Decoder {
        codec: codecs.for_topic(source),
        tombstones: plan.source.tombstones,
        cluster: log.cluster().await?,
        group: Arc::clone(&plan.group),
        outages: Outages::default(),
        clock: Arc::clone(desk.clock),
    };
    let admission = Admission {
        identity: expressions(settings, source),
        filter: plan.source.filter.clone(),
        names: Arc::new(plan.indices()),
    };
    let when = plan.sink.as_ref().and_then(|sink| sink.when.clone());
    reading.inputs(&Expecting { decoder, admission, when }, &extents).await?;
    reading.answers().await?;
    reading.letters().await?;
    reading.charges().await?;
    reading.published().await?;
    reading.calls().await?;
    reading.ledger()?;
    reading.settled(&written, begun).await?;
    let after = log.committed(&plan.group, source).await?.into_iter().collect();
    let now = log.extents(source).await?;
    if now.iter().zip(&extents).any(|(now, then)| now.high > then.high) {
        reading.audit.grew();
    }
    Ok(reading.audit.finish(after, &now))
}

/// The topics that a pipeline writes to.
fn topics(plan: &Plan<StageKind>) -> Vec<Arc<str>> {
    let sink = plan.sink.as_ref();
    let mut topics: Vec<Arc<str>> = sink.map(|sink| Arc::clone(&sink.topic)).into_iter().collect();
    topics.extend(sink.and_then(|sink| sink.failures.clone()));
    topics.extend([Arc::clone(&plan.dead_letters), Arc::clone(&plan.costs)]);
    topics.extend(plan.journal.clone());
    topics.extend(published(plan));
    topics
}

fn published(plan: &Plan<StageKind>) -> Vec<Arc<str>> {
    let mut topics: Vec<Arc<str>> =
        plan.stages.iter().flat_map(|stage| stage.kind.facts().topics).collect();
    topics.sort();
    topics.dedup();
    topics
}

fn is_there(topics: &[Topic], name: &str) -> bool {
    topics.iter().any(|topic| &*topic.name == name)
}

fn compacted(topics: &[Topic], name: &str) -> bool {
    let topic = topics.iter().find(|topic| &*topic.name == name);
    topic.is_some_and(|topic| {
        topic.config.iter().any(|(k, v)| k == "cleanup.policy" && v.contains("compact"))
    })
}

fn sum(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| (extent.high - extent.low).max(0).unsigned_abs()).sum()
}

fn terms(
    plan: &Plan<StageKind>,
    order: &Order,
    extents: &[Extent],
    progress: BTreeMap<i32, Progress>,
) -> Terms {
    let offsets = extents.iter().map(|extent| (extent.at.partition, (extent.low, extent.high)));
    Terms {
        sink: match &plan.sink {
            Some(_) => SinkTerms::Results,
            None => SinkTerms::Nowhere,
        },
        ordered: plan.source.ordered,
        began: match plan.source.from {
            From::Earliest => Began::Earliest,
            From::Latest => Began::Unknown,
            From::Time(time) => Began::Time(time),
        },
        period: order.period,
        finished: order.finished,
        most_events: order.most_events,
        ..Terms::whole(&plan.name, &plan.group, &plan.source.topic, offsets.collect(), progress)
    }
}

struct Reading<'a> {
    desk: &'a Desk<'a>,
    plan: &'a Plan<StageKind>,
    audit: Audit,
    order: &'a Order,
    there: &'a [Topic],
    told: (u64, u64),
    tell: Tell<'a>,
}

impl<'a> Reading<'a> {
    fn whose(&self) -> Whose<'a> {
        Whose { pipeline: &self.plan.name, group: &self.plan.group }
    }

    async fn follow(&self, topic: &str) -> Result<Box<dyn Follower>, StreamError> {
        let from = self.order.period.0.map_or(From::Earliest, |from| From::Time(from - MARGIN));
        self.desk.log.follow(topic, from).await
    }

    fn read(&mut self, records: usize) {
        self.told.0 += records as u64;
        (self.tell)(self.told.0.min(self.told.1), self.told.1);
    }

    async fn inputs(
        &mut self,
        expecting: &Expecting,
        extents: &[Extent],
    ) -> Result<(), VerifyError> {
        let mut unread: BTreeMap<i32, i64> =
            extents.iter().map(|extent| (extent.at.partition, extent.high)).collect();
        let mut follower = self.follow(&self.plan.source.topic).await?;
        let high = unread.clone();
        while let Some(records) = rest(&mut *follower, &self.plan.source.topic).await? {
            self.read(records.len());
            for record in records {
                let partition = record.at.partition;
                if unread.remove(&partition).is_some() {
                    self.audit.reads_from(partition, record.offset);
                }
                let before_end = high.get(&partition).is_some_and(|high| record.offset < *high);
                if before_end && self.audit.terms().is_within(record.timestamp) {
                    self.audit.input(expecting.input(record).await)?;
                }
            }
        }
        for (partition, high) in unread {
            self.audit.reads_from(partition, high);
        }
        Ok(())
    }

    /// Reads an output topic to its end. The first record of a partition whose older ones were dropped says up to when.
    async fn outputs(
        &mut self,
        topic: &Arc<str>,
        gone: Option<Gone>,
        mut each: impl AsyncFnMut(&mut Audit, Record) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        if !is_there(self.there, topic) {
            return Ok(());
        }
        if let Some(gone) = gone.filter(|_| compacted(self.there, topic)) {
            self.audit.gone(gone, i64::MAX);
        }
        let extents = self.desk.log.extents(topic).await?;
        let mut trimmed: BTreeMap<i32, &Extent> = extents
            .iter()
            .filter(|extent| extent.low > 0)
            .map(|extent| (extent.at.partition, extent))
            .collect();
        let mut follower = self.follow(topic).await?;
        while let Some(records) = rest(&mut *follower, topic).await? {
            self.read(records.len());
            for record in records {
                if let (Some(gone), Some(extent)) = (gone, trimmed.remove(&record.at.partition))
                    && record.offset <= extent.low
                {
                    self.audit.gone(gone, record.timestamp);
                }
                each(&mut self.audit, record).await?;
            }
        }
        if let Some(gone) = gone
            && trimmed.values().any(|extent| extent.low == extent.high)
        {
            self.audit.gone(gone, self.desk.clock.now());
        }
        Ok(())
    }

    async fn answers(&mut self) -> Result<(), VerifyError> {
        let Some(sink) = &self.plan.sink else { return Ok(()) };
        let topics = [(Some(&sink.topic), sink.value.is_none()), (sink.failures.as_ref(), true)];
        for (topic, ours) in topics {
            let Some(topic) = topic else { continue };
            let codec = self.desk.codecs.for_topic(topic);
            let whose = self.whose();
            self.outputs(topic, Some(Gone::Answers), async |audit, record| {
                let value = match records::is_of(&record, whose) && ours {
                    true => match decoded(&*codec, &record).await {
                        Ok(value) => Some(value),
                        Err(wrong) => {
                            audit.unreadable(Check::C3, Spot::of(&record), wrong);
                            return Ok(());
                        }
                    },
                    false => None,
                };
                // Another pipeline's result has no value here and is passed over by its headers.
                match records::answer(&record, value.as_ref(), whose) {
                    Made::Ours(answer) => audit.answer(answer),
                    Made::Wrong(wrong) => audit.unreadable(Check::C3, Spot::of(&record), wrong),
                    Made::Other => {}
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn letters(&mut self) -> Result<(), VerifyError> {
        let whose = self.whose();
        let topic = Arc::clone(&self.plan.dead_letters);
        self.outputs(&topic, Some(Gone::Letters), async |audit, record| {
            match records::letter(&record, whose) {
                Made::Ours(letter) => audit.letter(letter),
                Made::Wrong(wrong) => audit.unreadable(Check::C2, Spot::of(&record), wrong),
                Made::Other => {}
            }
            Ok(())
        })
        .await
    }

    async fn charges(&mut self) -> Result<(), VerifyError> {
        let whose = self.whose();
        let topic = Arc::clone(&self.plan.costs);
        let codec = self.desk.codecs.for_topic(&topic);
        self.outputs(&topic, Some(Gone::Charges), async |audit, record| {
            if !records::is_of(&record, whose) {
                return Ok(());
            }
            let made = match decoded(&*codec, &record).await {
                Ok(value) => records::charge(&record, &value, whose),
                Err(wrong) => Made::Wrong(wrong),
            };
            match made {
                Made::Ours(charge) => audit.charge(charge)?,
                Made::Wrong(wrong) => audit.unreadable(Check::C7, Spot::of(&record), wrong),
                Made::Other => {}
            }
            Ok(())
        })
        .await
    }

    async fn calls(&mut self) -> Result<(), VerifyError> {
        let Some(journal) = &self.plan.journal else { return Ok(()) };
        if !is_there(self.there, journal) {
            return Ok(());
        }
        self.audit.with_journal();
        let source = &self.plan.source.topic;
        self.outputs(journal, Some(Gone::Calls), async |audit, record| {
            let (spot, at) = (Spot::of(&record), record.timestamp);
            match records::told(&record, source) {
                Ok(told) => told.iter().try_for_each(|told| match told {
                    Told::Opened(partition, run) => {
                        audit.opened(*partition, spot.offset, *run, at);
                        Ok(())
                    }
                    Told::Call(call) => audit.call(call),
                })?,
                Err(wrong) => audit.unreadable(Check::C7, spot, wrong),
            }
            Ok(())
        })
        .await
    }

    async fn published(&mut self) -> Result<(), VerifyError> {
        let whose = self.whose();
        for topic in published(self.plan) {
            self.outputs(&topic, None, async |audit, record| {
                match records::published(&record, whose) {
                    Made::Ours(published) => audit.published(published),
                    Made::Wrong(wrong) => audit.unreadable(Check::C1, Spot::of(&record), wrong),
                    Made::Other => {}
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    fn ledger(&mut self) -> Result<(), VerifyError> {
        use std::io::BufRead;
        let Some(path) = &self.order.ledger else { return Ok(()) };
        let shown = path.display();
        let unreadable =
            |error: std::io::Error| VerifyError(format!("can't read `{shown}`: {error}"));
        let file = std::io::BufReader::new(std::fs::File::open(path).map_err(unreadable)?);
        for (number, line) in file.lines().enumerate() {
            let line = line.map_err(unreadable)?;
            let number = number + 1;
            let wrong = |error| VerifyError(format!("`{shown}`, line {number}: {error}"));
            let line: Line = serde_json::from_str(&line).map_err(wrong)?;
            let Some(key) = line.idempotency_key else { continue };
            let tokens = (line.prompt_tokens, line.completion_tokens);
            self.audit.entry(&Entry { key, delivered: line.delivered, tokens });
        }
        Ok(())
    }

    /// Everything that stood somewhere when reading began must be decided by now.
    async fn settled(
        &mut self,
        written: &[(crate::stream::TopicPartition, i64)],
        begun: Instant,
    ) -> Result<(), VerifyError> {
        for (at, end) in written {
            loop {
                let extents = self.desk.log.extents(&at.topic).await?;
                let extent = extents.iter().find(|extent| extent.at == *at);
                let Some(extent) = extent.filter(|extent| extent.high < *end) else { break };
                if begun.elapsed() >= OPEN {
                    let spot = Spot {
                        topic: Arc::clone(&at.topic),
                        partition: at.partition,
                        offset: extent.high,
                    };
                    let message = format!("a transaction is open for more than {OPEN:?}");
                    self.audit.open_transaction(spot, message);
                    break;
                }
                sleep(LOOK).await;
            }
        }
        self.audit.judged(Check::C6, written.len() as u64);
        Ok(())
    }
}

/// A line of the ledger file, as far as it matters.
#[derive(Deserialize)]
struct Line {
    idempotency_key: Option<String>,
    delivered: bool,
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// The value of a record of ours; waits for a registry that is down.
pub(super) async fn decoded(codec: &dyn Codec, record: &Record) -> Result<Value, String> {
    let Some(bytes) = &record.value else { return Err("it has no value".to_owned()) };
    loop {
        match codec.decode(bytes).await {
            Ok(value) => return Ok(value),
            Err(error) if error.kind == CodecErrorKind::Unavailable => {
                tracing::warn!(%error, "schema registry is down, waiting for it");
                sleep(REGISTRY_PAUSE).await;
            }
            Err(error) => return Err(error.message),
        }
    }
}
