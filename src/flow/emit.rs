//! Sixth door: what an event leaves behind, as records. Builds them and writes none: results, costs, what stages
//! publish, dead letters. `commit` writes them together with the event's progress.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::consume::Consumed;
use super::dead_letter::{self, Letter};
use super::decode::registry_turn;
use super::headers::{Stamp, Stamped};
use super::identity::Who;
use super::lanes::Lane;
use super::meter::EventMeter;
use super::outage::Outages;
use super::refusal::{Disposition, Refusal};
use super::report::{self, Subject};
use super::run::{BuiltPlan, Completed};
use crate::base::clock::Clock;
use crate::codec::{Codec, CodecErrorKind};
use crate::event::cost::{Attempt, CostEvent};
use crate::event::identity::Origin;
use crate::event::ids::{AttemptId, EventId, ResultId};
use crate::event::money::Money;
use crate::event::result::ResultEvent;
use crate::journal::Pages;
use crate::stage::{Effect, Publish};
use crate::stream::{Epoch, Headers, Output, TopicPartition};

/// What emitting needs.
pub struct Emitter {
    /// The plan.
    pub plan: Arc<BuiltPlan>,
    /// Who makes its events: `vivremotion/<pipeline>`.
    pub source: Arc<str>,
    /// Codec of every topic that is written, by name.
    pub codecs: HashMap<Arc<str>, Arc<dyn Codec>>,
    /// Partitions of the dead letter topic; 0 when it is not known.
    pub letter_partitions: i32,
    /// Currency of every amount.
    pub currency: Arc<str>,
    /// Price catalogue.
    pub catalogue: Option<Arc<str>>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Where a registry that is down is named.
    pub outages: Outages,
}

/// How an event ended, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A result.
    Completed,
    /// A failed result and a dead letter.
    Failed,
    /// A dead letter only.
    DeadLettered,
    /// It did not pass the filter, or was a tombstone to skip.
    Skipped,
}

impl Outcome {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Failed => "failed",
            Outcome::DeadLettered => "dead_lettered",
            Outcome::Skipped => "skipped",
        }
    }
}

/// An event whose outputs are ready to be committed.
#[derive(Debug)]
pub struct Emitted {
    /// Where its record stands.
    pub at: TopicPartition,
    /// Of the assignment it was taken in under.
    pub epoch: Epoch,
    /// Its record's offset.
    pub offset: i64,
    /// The record.
    pub consumed: Arc<Consumed>,
    /// Where its key's events wait their turn; none when nothing waits for it.
    pub lane: Option<Lane>,
    /// The run, if there was one: in case an output proves unwritable.
    pub completed: Option<Arc<Completed>>,
    /// What to write.
    pub outputs: Vec<Output>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, when it did not complete.
    pub refusal: Option<Refusal>,
    /// What its dead letter has of the record, if there is one: the last of the outputs.
    pub letter: Option<Letter>,
    /// Bytes of the outputs.
    pub bytes: usize,
}

impl Emitted {
    fn new(
        consumed: &Arc<Consumed>,
        outputs: Vec<Output>,
        outcome: Outcome,
        refusal: Option<Refusal>,
    ) -> Self {
        Emitted {
            at: consumed.record.at.clone(),
            epoch: consumed.epoch,
            offset: consumed.record.offset,
            consumed: Arc::clone(consumed),
            lane: None,
            completed: None,
            bytes: outputs.iter().map(Output::size).sum(),
            outputs,
            outcome,
            refusal,
            letter: None,
        }
    }

    /// The same with less of the record in its dead letter; none when there is no dead letter, or it has nothing of it.
    pub fn with_less(mut self) -> Option<Self> {
        let letter = self.letter.and_then(Letter::less)?;
        let whole = self.outputs.pop()?;
        self.outputs.push(dead_letter::with_less(whole, letter));
        self.letter = Some(letter);
        self.bytes = self.outputs.iter().map(Output::size).sum();
        Some(self)
    }
}

/// What is known of an event at whatever door it ended.
pub struct Known<'a> {
    /// Its record.
    pub consumed: &'a Arc<Consumed>,
    /// Its id.
    pub id: EventId,
    /// Where its record first stood.
    pub origin: &'a Origin,
    /// Result id of the first run, on a replay.
    pub replay_of: Option<&'a str>,
    /// Whom it is about.
    pub who: &'a Who,
    /// Pipelines it has passed through.
    pub hops: u32,
    /// Trace context.
    pub traceparent: Option<&'a Arc<str>>,
    /// Headers of its outputs.
    pub stamped: Stamped,
}

impl<'a> Known<'a> {
    /// Of an event that was run.
    pub fn of(completed: &'a Completed) -> Self {
        let enriched = &completed.enriched;
        let decoded = &enriched.admitted.decoded;
        Known {
            consumed: &decoded.consumed,
            id: decoded.id,
            origin: &decoded.origin,
            replay_of: decoded.replay_of.as_deref(),
            who: &enriched.admitted.who,
            hops: enriched.admitted.hops,
            traceparent: enriched.traceparent.as_ref(),
            stamped: Stamped::default(),
        }
    }

    /// The headers of one output of the event.
    pub fn headers(&self, emitter: &Emitter, id: Uuid, kind: &'static str, time: i64) -> Headers {
        let stamp = || Stamp {
            source: &emitter.source,
            event_id: self.id,
            origin: self.origin,
            who: self.who,
            hops: self.hops,
            traceparent: self.traceparent,
        };
        self.stamped.headers(stamp, id, kind, time)
    }
}

/// Outputs of an event that ran. The error is an output that can't be encoded: the event then fails with it.
pub async fn emit(emitter: &Emitter, completed: &Completed) -> Result<Emitted, Refusal> {
    let known = Known::of(completed);
    let now = emitter.clock.now();
    let mut outputs = Vec::with_capacity(2 + completed.attempts.len());
    let wanted =
        match (&completed.verdict, emitter.plan.sink.as_ref().and_then(|s| s.when.as_ref())) {
            (Ok(()), Some(when)) => {
                let scope = completed.scope.clone().into_value();
                when.test(&scope).map_err(|error| expression("sink.when", error.message))?
            }
            _ => true,
        };
    if let (true, Some(sink)) = (wanted, &emitter.plan.sink) {
        let id = result_id(emitter, &known);
        let (topic, bytes) = match (&completed.verdict, &sink.value) {
            (Ok(()), Some(shape)) => {
                let scope = completed.scope.clone().into_value();
                let value =
                    shape.render(&scope).map_err(|e| expression("sink.value", e.message))?;
                (&sink.topic, encode(emitter, &sink.topic, What::Value(&value)).await?)
            }
            (verdict, _) => {
                let failures = sink.failures.as_ref().filter(|_| verdict.is_err());
                let topic = failures.unwrap_or(&sink.topic);
                let result = report::result(emitter, &known, id, Subject::Ran(completed));
                (topic, encode(emitter, topic, What::Result(&result)).await?)
            }
        };
        outputs.push(own(emitter, &known, topic, id, bytes, now));
    }
    outputs.extend(costs(emitter, &known, Some(completed), &completed.attempts).await?);
    for effect in &completed.effects {
        if let Effect::Publish(publish) = effect {
            outputs.push(published(emitter, &known, publish, now).await?);
        }
    }
    let (outcome, refusal) = match &completed.verdict {
        Ok(()) => (Outcome::Completed, None),
        Err(refusal) => {
            let letter = dead_letter::record(emitter, &known, refusal, &completed.attempts).await;
            outputs.push(letter);
            (Outcome::Failed, Some(refusal.clone()))
        }
    };
    let letter = refusal.as_ref().map(|_| Letter::Whole);
    Ok(Emitted { letter, ..Emitted::new(known.consumed, outputs, outcome, refusal) })
}

/// Outputs of an event that was refused before it ran, or whose outputs were.
pub async fn refuse(
    emitter: &Emitter,
    known: &Known<'_>,
    refusal: Refusal,
    completed: Option<&Completed>,
) -> Emitted {
    let now = emitter.clock.now();
    let attempts = match completed {
        Some(completed) => completed.attempts.clone(),
        None => recovered(known),
    };
    let mut outputs = Vec::new();
    match costs(emitter, known, completed, &attempts).await {
        Ok(costs) => outputs.extend(costs),
        Err(error) => tracing::error!(%error, "cost events can't be encoded"),
    }
    let outcome = match refusal.disposition() {
        Disposition::Skip => {
            return Emitted::new(known.consumed, outputs, Outcome::Skipped, Some(refusal));
        }
        Disposition::DeadLetter => Outcome::DeadLettered,
        Disposition::Fail => Outcome::Failed,
    };
    if let (Outcome::Failed, Some(sink)) = (outcome, &emitter.plan.sink) {
        let topic = sink.failures.as_ref().unwrap_or(&sink.topic);
        let subject = match completed {
            Some(completed) => Subject::Undone(completed, &refusal),
            None => Subject::Refused(&refusal, &attempts),
        };
        let id = result_id(emitter, known);
        let result = report::result(emitter, known, id, subject);
        match encode(emitter, topic, What::Result(&result)).await {
            Ok(bytes) => outputs.push(own(emitter, known, topic, id, bytes, now)),
            Err(error) => tracing::error!(%error, %topic, "a failed result can't be encoded"),
        }
    }
    outputs.push(dead_letter::record(emitter, known, &refusal, &attempts).await);
    let emitted = Emitted::new(known.consumed, outputs, outcome, Some(refusal));
    Emitted { letter: Some(Letter::Whole), ..emitted }
}

fn expression(place: &'static str, message: String) -> Refusal {
    Refusal::Expression { place, message }
}

/// What earlier runs of an event spent that does not run again.
fn recovered(known: &Known<'_>) -> Vec<Attempt> {
    let Some(journal) = known.consumed.journal.clone() else { return Vec::new() };
    let meter = EventMeter::default();
    Pages::new(journal, known.id)
        .recovered()
        .into_iter()
        .for_each(|attempt| meter.recover(attempt));
    meter.finish().0
}

async fn costs(
    emitter: &Emitter,
    known: &Known<'_>,
    completed: Option<&Completed>,
    attempts: &[Attempt],
) -> Result<Vec<Output>, Refusal> {
    let mut outputs = Vec::with_capacity(attempts.len());
    let event = completed.map(Completed::event);
    for attempt in attempts {
        let cost = report::cost(emitter, known, event, attempt);
        outputs.push(told(emitter, known, &cost).await?);
    }
    Ok(outputs)
}

async fn told(
    emitter: &Emitter,
    known: &Known<'_>,
    cost: &CostEvent<'_>,
) -> Result<Output, Refusal> {
    let topic = &emitter.plan.costs;
    let bytes = encode(emitter, topic, What::Cost(cost)).await?;
    Ok(Output {
        topic: Arc::clone(topic),
        partition: None,
        // Without a key those of a batch go to one partition: every one more is one more request of its transaction.
        key: None,
        value: Some(bytes),
        headers: known.headers(emitter, cost.identity.id, "vivremotion.cost", cost.time),
        timestamp: None,
    })
}

/// The cost event of a call that was told otherwise, or not at all, before its outcome was known: the difference to what
/// was charged for it.
pub async fn adjustment(
    emitter: &Emitter,
    known: &Known<'_>,
    event: Option<&serde_json::Value>,
    charged: Money,
    attempt: &Attempt,
) -> Result<Output, Refusal> {
    let mut cost = report::cost(emitter, known, event, attempt);
    cost.identity.id = AttemptId::adjusting(attempt.id).0;
    cost.kind = "adjustment";
    cost.adjusts = Some(attempt.id);
    cost.amount = attempt.amount.map(|amount| amount - charged);
    told(emitter, known, &cost).await
}

/// A result, or the user's own value in its place: with the key of the input.
fn own(
    emitter: &Emitter,
    known: &Known<'_>,
    topic: &Arc<str>,
    id: ResultId,
    value: Bytes,
    now: i64,
) -> Output {
    let mut headers = known.headers(emitter, id.0, "vivremotion.result", now);
    // The user's own value can't say it.
    if let Some(of) = known.replay_of {
        headers.push(("vivremotion.replay_of".into(), Some(Bytes::from(of.to_owned()))));
    }
    Output {
        topic: Arc::clone(topic),
        partition: None,
        key: known.consumed.record.key.clone(),
        value: Some(value),
        headers,
        timestamp: None,
    }
}

async fn published(
    emitter: &Emitter,
    known: &Known<'_>,
    publish: &Publish,
    now: i64,
) -> Result<Output, Refusal> {
    let value = match publish.value.is_null() {
        true => None,
        false => Some(encode(emitter, &publish.topic, What::Value(&publish.value)).await?),
    };
    let id = output_id(&emitter.plan, known.id, &publish.stage, publish.item.unwrap_or(0));
    let mut headers = known.headers(emitter, id.0, "vivremotion.published", now);
    headers.extend(publish.headers.iter().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.clone().into(), Some(Bytes::from(text)))
    }));
    Ok(Output {
        topic: Arc::clone(&publish.topic),
        partition: None,
        key: publish.key.clone().map(Bytes::from),
        value,
        headers,
        timestamp: None,
    })
}

fn result_id(emitter: &Emitter, known: &Known<'_>) -> ResultId {
    output_id(&emitter.plan, known.id, "result", 0)
}

/// The id of an output of an event.
fn output_id(plan: &BuiltPlan, event: EventId, output: &str, index: u32) -> ResultId {
    ResultId::new(event, &plan.group, &plan.name, output, index)
}

/// What is to be encoded.
enum What<'a> {
    Value(&'a serde_json::Value),
    Result(&'a ResultEvent<'a>),
    Cost(&'a CostEvent<'a>),
}

/// Encodes with the codec of a topic; a registry that is down is waited for.
async fn encode(emitter: &Emitter, topic: &Arc<str>, what: What<'_>) -> Result<Bytes, Refusal> {
    let Some(codec) = emitter.codecs.get(topic) else {
        return Err(Refusal::Unwritable(format!("topic `{topic}` is not one the plan writes")));
    };
    let mut patience = emitter.outages.patience();
    loop {
        let encoded = match what {
            What::Value(value) => codec.encode(value).await,
            What::Result(result) => codec.encode_result(result).await,
            What::Cost(cost) => codec.encode_cost(cost).await,
        };
        match encoded {
            Err(error) if error.kind == CodecErrorKind::Unavailable => {
                registry_turn(&mut patience, &error, &emitter.clock).await;
            }
            Ok(bytes) => {
                patience.answered();
                return Ok(bytes);
            }
            Err(error) => {
                patience.answered();
                let message = format!("topic `{topic}`: {}", error.message);
                return Err(Refusal::Unwritable(message));
            }
        }
    }
}

/// The tags of an event of ours, for cost allocation.
pub fn attributes(event: &serde_json::Value) -> BTreeMap<&str, &str> {
    let Some(map) = event.get("attributes").and_then(|tags| tags.as_object()) else {
        return BTreeMap::new();
    };
    map.iter().filter_map(|(tag, value)| Some((tag.as_str(), value.as_str()?))).collect()
}
