//! Brings events back: reads dead letters (or a period of the input topic) and what has become of them since, says what it
//! would do, and does it at a bounded rate.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::engine::expressions;
use super::verify::{Desk, MARGIN, Tell, decoded};
use crate::audit::Spot;
use crate::audit::records::{Whose, is_of};
use crate::event::ids::EventId;
use crate::event::money::Money;
use crate::flow::consume::Consumed;
use crate::flow::decode::identify;
use crate::flow::identity::Expressions;
use crate::journal::{Entry, record};
use crate::pipeline::plan::Plan;
use crate::replay::survey::{Counts, MOST_EVENTS};
use crate::replay::{Candidate, Filter, Ranges, Survey, replay};
use crate::stage::StageKind;
use crate::stream::{Epoch, From, Record, StreamError, StreamErrorKind, header, rest};

/// Costs are estimated from events of this time before, milliseconds.
const LOOK_BACK: i64 = 7 * 86_400_000;
/// From at most so many of them.
const LOOKED_AT: usize = 100_000;
/// Between two writes at least.
const TICK: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which events.
    pub filter: Filter,
    /// Records of the input topic instead of dead letters.
    pub inputs: bool,
    /// Also those that were answered since.
    pub again: bool,
    /// At most so many.
    pub limit: Option<u64>,
    /// Records a second.
    pub rate: u32,
}

/// What a dry run found.
#[derive(Debug)]
pub struct Dry {
    survey: Survey,
    /// By how they stand.
    pub counts: Counts,
    /// Dead letters, or records of the period.
    pub read: u64,
    /// Of which the condition could not be told, with the first reason.
    pub untold: (u64, Option<String>),
    /// Dead letters that can't be brought back, with the first reason.
    pub unreadable: (u64, Option<String>),
    /// Events that will be brought back.
    pub events: u64,
    /// What that may cost.
    pub estimate: Estimate,
    ranges: Ranges,
}

/// What bringing back may cost. Finished calls that the journal still holds are free: so it is the most that is likely.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// By what an event of the pipeline cost in the last seven days; none when there was none.
    pub likely: Option<Money>,
    /// By `budget.per_event`, where it is set.
    pub most: Option<Money>,
    /// Events of which that is known.
    pub from_events: u64,
    /// Calls without a price among them.
    pub unpriced_calls: u64,
    /// Currency.
    pub currency: String,
}

/// Looks, and writes nothing.
pub async fn look(
    desk: &Desk<'_>,
    plan: &Plan<StageKind>,
    order: &Order,
    tell: Tell<'_>,
) -> Result<Dry, StreamError> {
    let source = &plan.source.topic;
    let progress = desk.log.committed(&plan.group, source).await?.into_iter().collect();
    let mut looking = Looking {
        place: Place::new(desk, plan).await?,
        survey: Survey::new(progress, MOST_EVENTS),
        read: 0,
        untold: (0, None),
        unreadable: (0, None),
        first: None,
    };
    let topic = match order.inputs {
        true => source,
        false => &plan.dead_letters,
    };
    let extents = desk.log.extents(topic).await?;
    if !extents.is_empty() {
        let all: i64 = extents.iter().map(|extent| extent.high - extent.low).sum();
        let mut follower = desk.log.follow(topic, begins(order)).await?;
        while let Some(records) = rest(&mut *follower, topic).await? {
            for record in records {
                looking.consider(order, record).await?;
            }
            tell(looking.read, all.max(0).unsigned_abs());
        }
    }
    looking.what_became().await?;
    let Looking { survey, read, untold, unreadable, .. } = looking;
    let counts = survey.counts(order.again);
    let events = order.limit.map_or(counts.events, |limit| counts.events.min(limit));
    let estimate = estimate(desk, plan, events).await?;
    let mut ranges = Ranges::default();
    if let Some(journal) = plan.journal.as_ref().filter(|_| order.inputs && events > 0) {
        journaled(desk, journal, &survey, order, &mut ranges).await?;
    }
    Ok(Dry { survey, counts, read, untold, unreadable, events, estimate, ranges })
}

/// Brings back what a dry run found: the records written.
pub async fn bring_back(
    desk: &Desk<'_>,
    plan: &Plan<StageKind>,
    order: &Order,
    dry: &Dry,
    tell: Tell<'_>,
) -> Result<u64, StreamError> {
    let place = Place::new(desk, plan).await?;
    let topic = match order.inputs {
        true => &plan.source.topic,
        false => &plan.dead_letters,
    };
    if dry.events == 0 {
        return Ok(0);
    }
    let mut follower = desk.log.follow(topic, begins(order)).await?;
    let mut pace = Pace { begun: Instant::now(), rate: order.rate.max(1), sent: 0 };
    let mut waiting = Vec::new();
    'reading: while let Some(records) = rest(&mut *follower, topic).await? {
        for record in records {
            let spot = Spot::of(&record);
            let candidate = match place.candidate(order, &record) {
                Ok(Some(candidate)) => candidate,
                Ok(None) | Err(_) => continue,
            };
            if !dry.survey.chosen(candidate.event, &spot, order.again) {
                continue;
            }
            let ranges = dry.ranges.of(candidate.event);
            waiting.push(replay(&candidate, &plan.name, &plan.group, &ranges));
            let whole = pace.sent + waiting.len() as u64 >= dry.events;
            if whole || waiting.len() >= pace.together() {
                pace.write(desk, std::mem::take(&mut waiting)).await?;
                tell(pace.sent, dry.events);
            }
            if whole {
                break 'reading;
            }
        }
    }
    if !waiting.is_empty() {
        pace.write(desk, waiting).await?;
        tell(pace.sent, dry.events);
    }
    Ok(pace.sent)
}

/// Where reading begins.
fn begins(order: &Order) -> From {
    order.filter.period.0.map_or(From::Earliest, |from| From::Time(from - MARGIN))
}

/// So many records a second, in portions.
struct Pace {
    begun: Instant,
    rate: u32,
    sent: u64,
}

impl Pace {
    fn together(&self) -> usize {
        (self.rate as usize / 10).clamp(1, 1_000)
    }

    async fn write(
        &mut self,
        desk: &Desk<'_>,
        records: Vec<crate::stream::Output>,
    ) -> Result<(), StreamError> {
        let due = Duration::from_secs_f64(self.sent as f64 / f64::from(self.rate));
        if due > TICK || self.rate < 10 {
            sleep_until(self.begun + due).await;
        }
        let written = records.len() as u64;
        desk.log.send(records).await?;
        self.sent += written;
        Ok(())
    }
}

/// What makes candidates of records.
struct Place<'a> {
    desk: &'a Desk<'a>,
    plan: &'a Plan<StageKind>,
    cluster: Arc<str>,
    expressions: Expressions,
}

impl<'a> Place<'a> {
    async fn new(desk: &'a Desk<'a>, plan: &'a Plan<StageKind>) -> Result<Self, StreamError> {
        let expressions = expressions(desk.settings, &plan.source.topic);
        Ok(Place { desk, plan, cluster: desk.log.cluster().await?, expressions })
    }

    fn candidate(&self, order: &Order, record: &Record) -> Result<Option<Candidate>, String> {
        let Plan { name, group, source, .. } = self.plan;
        if !order.inputs {
            return Candidate::of_letter(record, &source.topic, name, group);
        }
        let consumed = as_consumed(record.clone());
        let (event, origin, replay_of) = identify(&self.cluster, &consumed);
        let elsewhere = replay_of.is_some() && !names(record, group);
        Ok((!elsewhere).then(|| Candidate::of_input(record, event, origin)))
    }
}

/// A record as the corridor's door takes it.
fn as_consumed(record: Record) -> Consumed {
    let time = record.timestamp;
    Consumed::new(record, Epoch(0), time)
}

/// Whether a replay is for that group.
fn names(record: &Record, group: &str) -> bool {
    header(&record.headers, "vivremotion.group").is_some_and(|named| **named == *group.as_bytes())
}

struct Looking<'a> {
    place: Place<'a>,
    survey: Survey,
    read: u64,
    untold: (u64, Option<String>),
    unreadable: (u64, Option<String>),
    /// Time of the oldest that is meant.
    first: Option<i64>,
}

impl Looking<'_> {
    async fn consider(&mut self, order: &Order, record: Record) -> Result<(), StreamError> {
        self.read += 1;
        let spot = Spot::of(&record);
        let candidate = match self.place.candidate(order, &record) {
            Ok(Some(candidate)) => candidate,
            Ok(None) => return Ok(()),
            Err(wrong) => {
                self.unreadable.0 += 1;
                self.unreadable.1.get_or_insert(format!("{spot}: {wrong}"));
                return Ok(());
            }
        };
        let time = candidate.failed.as_ref().map_or(record.timestamp, |failed| failed.time);
        let mut meant = order.filter.takes(&candidate);
        if meant && order.filter.condition.is_some() {
            let desk = self.place.desk;
            let codec = desk.codecs.for_topic(&self.place.plan.source.topic);
            let event = match &candidate.record.value {
                None => Some(Value::Null),
                Some(_) => decoded(&*codec, &candidate.record).await.ok(),
            };
            meant = match order.filter.is_true(&candidate, event, &self.place.expressions) {
                Ok(meant) => meant,
                Err(why) => {
                    self.untold.0 += 1;
                    self.untold.1.get_or_insert(format!("{spot}: {why}"));
                    false
                }
            };
        }
        if meant {
            self.first = Some(self.first.map_or(time, |first| first.min(time)));
        }
        match self.survey.take(&candidate, spot, meant) {
            true => Ok(()),
            false => Err(StreamError {
                kind: StreamErrorKind::Setting,
                message: format!(
                    "there are more than {MOST_EVENTS} events: name a shorter period with --from and --to"
                ),
            }),
        }
    }

    /// Which of them have been brought back already.
    async fn what_became(&mut self) -> Result<(), StreamError> {
        let Some(first) = self.first else { return Ok(()) };
        let Plan { source, group, .. } = self.place.plan;
        let from = From::Time(first - MARGIN);
        let mut follower = self.place.desk.log.follow(&source.topic, from).await?;
        while let Some(records) = rest(&mut *follower, &source.topic).await? {
            for record in records {
                if header(&record.headers, "vivremotion.replay_of").is_none()
                    || !names(&record, group)
                {
                    continue;
                }
                let (partition, offset) = (record.at.partition, record.offset);
                let (event, _, replay_of) = identify(&self.place.cluster, &as_consumed(record));
                if replay_of.is_some() {
                    self.survey.brought_back(event, partition, offset);
                }
            }
        }
        Ok(())
    }
}

/// Where the journal tells of the events that are chosen: dead letters say it themselves, other records don't.
async fn journaled(
    desk: &Desk<'_>,
    journal: &Arc<str>,
    survey: &Survey,
    order: &Order,
    ranges: &mut Ranges,
) -> Result<(), StreamError> {
    if desk.log.extents(journal).await?.is_empty() {
        return Ok(());
    }
    let mut follower = desk.log.follow(journal, begins(order)).await?;
    while let Some(records) = rest(&mut *follower, journal).await? {
        for record in records {
            for Entry { place, event, .. } in record::read(&record).unwrap_or_default() {
                if let Some(event) = event.filter(|event| survey.brings_back(*event, order.again)) {
                    ranges.take(event, &place, (record.at.partition, record.offset));
                }
            }
        }
    }
    Ok(())
}

/// By what an event cost lately.
async fn estimate(
    desk: &Desk<'_>,
    plan: &Plan<StageKind>,
    events: u64,
) -> Result<Estimate, StreamError> {
    let most = plan.budget.per_event.map(|limit| limit.times(i128::from(events), 1));
    let currency = desk.settings.currency.to_string();
    let mut estimate = Estimate { most, currency, ..Estimate::default() };
    if events == 0 || desk.log.extents(&plan.costs).await?.is_empty() {
        return Ok(estimate);
    }
    let codec = desk.codecs.for_topic(&plan.costs);
    let whose = Whose { pipeline: &plan.name, group: &plan.group };
    let (mut sum, mut seen): (Money, HashSet<EventId>) = (Money::ZERO, HashSet::new());
    let from = From::Time(desk.clock.now() - LOOK_BACK);
    let mut follower = desk.log.follow(&plan.costs, from).await?;
    'reading: while let Some(records) = rest(&mut *follower, &plan.costs).await? {
        for record in records.iter().filter(|record| is_of(record, whose)) {
            let Ok(value) = decoded(&*codec, record).await else { continue };
            let text = |field: &str| value.get(field).and_then(Value::as_str);
            let Some(Ok(event)) = text("event_id").map(str::parse) else { continue };
            seen.insert(event);
            match text("amount").and_then(|amount| amount.parse::<Money>().ok()) {
                Some(amount) => sum += amount,
                None => estimate.unpriced_calls += 1,
            }
            if seen.len() >= LOOKED_AT {
                break 'reading;
            }
        }
    }
    estimate.from_events = seen.len() as u64;
    if !seen.is_empty() {
        estimate.likely = Some(sum.times(i128::from(events), seen.len() as i128));
    }
    Ok(estimate)
}

/// Codes and how many events each has, most first.
pub fn by_number(codes: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut sorted: Vec<(&str, u64)> = codes.iter().map(|(code, n)| (code.as_str(), *n)).collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    sorted
}
