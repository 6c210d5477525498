//! Calls of whoever had a partition before, told after it was taken over. A process that the network cut off still gets the
//! answers it has asked for, and writes them down when it can: who runs their events by then has read the journal
//! already, and knows nothing of them, or has charged the ceiling. So a new owner looks at the journal again, and tells
//! what it finds of events that it has committed as adjustments: their amounts are the differences to what was charged,
//! so that the sum of all cost events is right.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Line;
use super::admit::admit;
use super::consume::Consumed;
use super::decode::{decode, identify};
use super::emit::{Emitted, Known, adjustment};
use super::headers::Stamped;
use super::identity::Who;
use super::member::Member;
use crate::event::cost::Attempt;
use crate::event::ids::{AttemptId, EventId};
use crate::event::money::Money;
use crate::journal::entry::Place;
use crate::journal::restore::{Look, late};
use crate::journal::{Entry, Memory, Outcome, What, Writer};
use crate::stream::{Epoch, Output, Progress, StreamError, TopicPartition, rest};

/// Between two looks: the first finds what a short cut held up, the last what a long one did. Then it looks only as long
/// as events that it has heard of are not committed.
const LOOKS: [Duration; 2] = [Duration::from_secs(15), Duration::from_secs(75)];

/// Looks that found the journal out of reach are taken again, so often.
const FAILED: usize = 20;

/// A partition under one assignment.
pub(super) type Tenure = (TopicPartition, Epoch);

/// What a new owner knows of the calls of those before it. Pure.
pub(super) struct Takeover {
    /// The partition of the journal that tells of it.
    home: i32,
    /// What was done when it took over: not its business.
    before: Progress,
    /// Attempts that its own cost events tell of, or will: what was charged for each without a known outcome.
    told: HashMap<AttemptId, Option<Money>>,
    heard: Memory,
    /// How far the journal has been read; none until it was restored.
    from: Option<i64>,
    /// What was done when it was given up again.
    after: Option<Progress>,
    looks: usize,
    failed: usize,
}

/// A call that no cost event tells of as it was.
#[derive(Debug, PartialEq)]
pub(super) struct Untold {
    offset: i64,
    event: EventId,
    attempt: Attempt,
    charged: Money,
}

impl Takeover {
    pub(super) fn new(home: i32, before: Progress) -> Self {
        let (told, heard) = Default::default();
        Takeover { home, before, told, heard, from: None, after: None, looks: 0, failed: 0 }
    }

    /// The journal was read up to `from`.
    pub(super) fn restored(&mut self, memory: &Memory, from: i64) {
        self.from = Some(from);
        for attempt in memory.attempts() {
            let unsettled = attempt.price_status == "unsettled";
            self.told.insert(attempt.id, attempt.amount.filter(|_| unsettled));
        }
    }

    fn hear(&mut self, entry: Entry) {
        self.heard.take(entry, |offset| self.before.is_done(offset));
    }

    /// What is to be told, now that those events are done. `last`: what has not ended by now is charged at its ceiling,
    /// and of done events nothing more is heard.
    fn untold(&mut self, done: &Progress, last: bool) -> Vec<Untold> {
        let mut untold = Vec::new();
        for (offset, recalled) in self.heard.events().filter(|(offset, _)| done.is_done(*offset)) {
            for attempt in recalled.attempts() {
                if attempt.price_status == "unsettled"
                    && (!last || self.told.contains_key(&attempt.id))
                {
                    continue;
                }
                let charged = match self.told.insert(attempt.id, None) {
                    None => Money::ZERO,
                    Some(Some(ceiling)) if attempt.amount.is_some() => ceiling,
                    Some(_) => continue,
                };
                untold.push(Untold { offset, event: recalled.event, attempt, charged });
            }
        }
        if last {
            self.heard.forget(|offset| done.is_done(offset));
        }
        untold
    }
}

/// A step of a look at what came late.
pub(super) enum Step {
    /// It is time.
    Due(Tenure),
    /// That partition of the journal was read for these: what stands there for each, and how far.
    Read(i32, Vec<Tenure>, Result<(Vec<Vec<Entry>>, i64), StreamError>),
    /// What was found is told.
    Told,
}

impl Member {
    /// Looks again, in its time.
    pub(super) fn later(&self, tenure: Tenure, looks: usize) {
        let wait = LOOKS[looks.min(LOOKS.len() - 1)];
        self.late.push(Box::pin(async move {
            sleep(wait).await;
            Step::Due(tenure)
        }));
    }

    /// A partition is not ours any more; what we committed of it still is.
    pub(super) fn hand_over(&mut self, tenure: Tenure, after: &Progress) {
        match self.takeovers.get_mut(&tenure) {
            Some(takeover) if takeover.from.is_some() => takeover.after = Some(after.clone()),
            _ => drop(self.takeovers.remove(&tenure)),
        }
    }

    /// A run ended whose partition was lost under it, and is ours again: nobody else will read what it has asked.
    pub(super) fn overhear(&mut self, event: &Emitted) {
        let epoch = self.partitions.get(&event.at).map(|partition| partition.tracker.epoch());
        let takeover = epoch.and_then(|epoch| self.takeovers.get_mut(&(event.at.clone(), epoch)));
        let (Some(takeover), Some(completed)) = (takeover, &event.completed) else { return };
        let (topic, partition) = (Arc::clone(&event.at.topic), event.at.partition);
        let place = Place { topic, partition, offset: Some(event.offset) };
        let id = Known::of(completed).id;
        for attempt in &completed.attempts {
            let outcome = Outcome { attempt: Some(Box::new(attempt.clone())), answer: None };
            let what = What::Outcome(outcome);
            takeover.hear(Entry { place: place.clone(), event: Some(id), run: 0, what });
        }
    }

    pub(super) fn look(&mut self, step: Step) {
        match step {
            Step::Told => {}
            Step::Due(tenure) => {
                let Some(home) = self.takeovers.get(&tenure).map(|takeover| takeover.home) else {
                    return;
                };
                if let Some(tenures) = self.looks.ask(home, tenure) {
                    self.listen(home, tenures);
                }
            }
            Step::Read(home, tenures, found) => {
                let (mut found, until) = match found {
                    Ok((found, until)) => (found, Some(until)),
                    Err(error) => {
                        tracing::warn!(partition = home, %error, "the journal can't be read for calls that were told late");
                        (Vec::new(), None)
                    }
                };
                found.resize_with(tenures.len(), Vec::new);
                for (tenure, entries) in tenures.into_iter().zip(found) {
                    self.judge(tenure, entries, until);
                }
                if let Some(tenures) = self.looks.done(home) {
                    self.listen(home, tenures);
                }
            }
        }
    }

    /// Reads a partition of the journal for all of them.
    fn listen(&mut self, home: i32, tenures: Vec<Tenure>) {
        let Some(keeping) = &self.keeping else { return };
        let (writer, readings) = (Arc::clone(&keeping.writer), Arc::clone(&self.readings));
        let look = |tenure: &Tenure| {
            let Takeover { from, before, after, .. } = self.takeovers.get(tenure)?;
            let (before, after) = (before.clone(), after.clone());
            Some(Look { input: tenure.0.clone(), from: from.unwrap_or(0), before, after })
        };
        let (tenures, looks): (Vec<Tenure>, Vec<Look>) =
            tenures.into_iter().filter_map(|tenure| look(&tenure).map(|l| (tenure, l))).unzip();
        self.late.push(Box::pin(async move {
            let _place = readings.acquire_owned().await;
            let found = late(&writer, home, &looks).await;
            Step::Read(home, tenures, found)
        }));
    }

    fn judge(&mut self, tenure: Tenure, entries: Vec<Entry>, until: Option<i64>) {
        let Some(takeover) = self.takeovers.get_mut(&tenure) else { return };
        if until.is_none() && takeover.failed < FAILED {
            // What cut the other off may cut us off: it is no look.
            takeover.failed += 1;
            let looks = takeover.looks;
            return self.later(tenure, looks);
        }
        entries.into_iter().for_each(|entry| takeover.hear(entry));
        takeover.from = until.or(takeover.from);
        takeover.looks += 1;
        let last = takeover.looks >= LOOKS.len();
        let ours = self.partitions.get(&tenure.0).map(|partition| &partition.tracker);
        let ours = ours.filter(|tracker| tracker.epoch() == tenure.1).map(|t| t.committed());
        let Some(done) = takeover.after.as_ref().or(ours).cloned() else {
            return drop(self.takeovers.remove(&tenure));
        };
        let untold = takeover.untold(&done, last);
        let over = last && (takeover.after.is_some() || takeover.heard.is_empty());
        let looks = takeover.looks;
        match over {
            true => drop(self.takeovers.remove(&tenure)),
            false => self.later(tenure.clone(), looks),
        }
        let line = self.lines.get(&tenure.0.topic).filter(|_| !untold.is_empty());
        if let (Some(line), Some(keeping)) = (line, &self.keeping) {
            let (line, writer) = (Arc::clone(line), Arc::clone(&keeping.writer));
            self.late.push(Box::pin(async move {
                tell(&line, &writer, &tenure.0, untold).await;
                Step::Told
            }));
        }
    }
}

async fn tell(line: &Line, writer: &Writer, at: &TopicPartition, untold: Vec<Untold>) {
    let (mut outputs, calls) = (Vec::with_capacity(untold.len()), untold.len());
    for one in untold {
        let (offset, attempt) = (one.offset, one.attempt.id);
        match told(line, writer, at, one).await {
            Ok(output) => outputs.push(output),
            Err(error) => {
                tracing::warn!(%at, offset, %attempt, %error, "a late call can't be told")
            }
        }
    }
    let adjusted = outputs.len();
    if adjusted == 0 {
        return;
    }
    match writer.log().send(outputs).await {
        Ok(_) => {
            tracing::info!(%at, adjusted, "calls of a process that lost the partition: adjusted")
        }
        Err(error) => tracing::warn!(%at, calls, %error, "late calls are not told"),
    }
}

/// The adjustment. Who the event is about is asked of its record: only few events have such calls.
async fn told(
    line: &Line,
    writer: &Writer,
    at: &TopicPartition,
    untold: Untold,
) -> Result<Output, String> {
    let Untold { offset, event, attempt, charged } = untold;
    let read = async {
        let mut follower = writer.log().read(at, offset).await?;
        rest(&mut *follower, &at.to_string()).await
    };
    let records = read.await.map_err(|error| error.to_string())?;
    let record = records.into_iter().flatten().find(|record| record.offset == offset);
    let record = record.ok_or("its record is not kept any more")?;
    let consumed = Arc::new(Consumed::new(record, Epoch(0), line.clock.now()));
    let (id, origin, replay_of) = identify(&line.decoder.cluster, &consumed);
    if id != event {
        return Err("its record is of another event".to_owned());
    }
    let admitted = match decode(&line.decoder, &consumed).await {
        // An event that has expired since had not when it ran.
        Ok(decoded) => admit(&line.admission, decoded, i64::MIN).ok(),
        Err(_) => None,
    };
    let who = admitted
        .as_ref()
        .map_or_else(|| Who::of_headers(&consumed.record.headers), |a| a.who.clone());
    let known = Known {
        consumed: &consumed,
        id,
        origin: &origin,
        replay_of: replay_of.as_deref(),
        who: &who,
        hops: admitted.as_ref().map_or(0, |admitted| admitted.hops),
        traceparent: None,
        stamped: Stamped::default(),
    };
    let event = admitted.as_ref().map(|admitted| &*admitted.decoded.event);
    let output = adjustment(&line.emitter, &known, event, charged, &attempt).await;
    output.map_err(|refusal| refusal.to_string())
}

#[cfg(test)]
mod tests;
