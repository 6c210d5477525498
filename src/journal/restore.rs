//! Reads back what the journal says of unfinished events.

use std::sync::Arc;

use super::entry::{Entry, Outcome, What};
use super::memory::{Memory, Recalled};
use super::pages::Range;
use super::record;
use super::writer::Writer;
use crate::event::ids::EventId;
use crate::stream::{Progress, Record, StreamError, TopicPartition, rest};

/// Records that a replay may make the journal be read for.
const MAX_RANGE: i64 = 1_000_000;

/// A partition whose journal is to be read back.
#[derive(Clone, Debug)]
pub struct Input {
    /// Which.
    pub at: TopicPartition,
    /// What was committed last.
    pub progress: Progress,
    /// One past its newest record, as last known.
    pub end: i64,
}

/// What is known of an input, and how far the journal was read for it.
pub type Restored = (Memory, i64);

/// For each input everything from its `progress.journal_low` to the end as it is now, as far as it is about its records
/// that are not done. One reading serves all: they have the number of the journal's partition. The writer learns its end,
/// too.
pub async fn restore(
    writer: &Writer,
    partition: i32,
    inputs: &[Input],
) -> Result<Vec<Restored>, StreamError> {
    // A partition that comes back: what this process was answered meanwhile may still be on its way.
    writer.flush().await;
    let mut found: Vec<Restored> = Vec::with_capacity(inputs.len());
    let mut read_for: Vec<usize> = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        // Somebody else set the offset: what is read again may have been committed.
        let foreign = input.progress.journal_low == Progress::NO_JOURNAL;
        let memory = if foreign { Memory::of_answers() } else { Memory::default() };
        let idle = idle(writer, input).await?;
        if idle.is_none() {
            read_for.push(index);
        }
        found.push((memory, idle.unwrap_or(0)));
    }
    let low = |input: &Input| input.progress.journal_low.max(0);
    let Some(from) = read_for.iter().map(|index| low(&inputs[*index])).min() else {
        return Ok(found);
    };
    // Nothing but our own opening stands there: it is not worth a reader.
    if let Some(end) = writer.end_before(partition).filter(|end| from >= *end) {
        read_for.iter().for_each(|index| found[*index].1 = end);
        return Ok(found);
    }
    let at = TopicPartition { topic: Arc::clone(writer.topic()), partition };
    let mut unreadable = 0;
    let end = read(writer, &at, from, i64::MAX, |record| {
        let topic = record::topic_of(&record);
        let about = |index: &&usize| {
            let input = &inputs[**index];
            record.offset >= low(input)
                && topic.as_ref().is_none_or(|topic| *topic == input.at.topic)
        };
        let theirs: Vec<usize> = read_for.iter().filter(about).copied().collect();
        if theirs.is_empty() {
            return;
        }
        let entries = match record::read(&record) {
            Ok(entries) => entries,
            Err(reason) => {
                unreadable += 1;
                if unreadable == 1 {
                    let offset = record.offset;
                    tracing::warn!(%at, offset, %reason, "a record of the journal is passed over");
                }
                return;
            }
        };
        for entry in entries {
            // That this process was given the partition says nothing of who had it before.
            if matches!(entry.what, What::Opened) && entry.run == writer.run() {
                continue;
            }
            for index in &theirs {
                let progress = &inputs[*index].progress;
                found[*index].0.take(entry.clone(), |offset| progress.is_done(offset));
            }
        }
    })
    .await?;
    writer.learn(partition, end);
    for index in read_for {
        let (memory, until) = &mut found[index];
        *until = end;
        if memory.forgone() > 0 {
            let (at, calls) = (&inputs[index].at, memory.forgone());
            tracing::error!(%at, calls, "the journal holds more than can be read back: these calls are paid again");
        }
    }
    Ok(found)
}

/// Where the journal ends at least, when the input had no record then that is not done: nobody can have written of one. So
/// an idle topic does not read what the busy ones of its group have written since its last record.
async fn idle(writer: &Writer, input: &Input) -> Result<Option<i64>, StreamError> {
    let Input { at, progress, end } = input;
    // First the journal, then the input: what comes in between is looked for later.
    let until = writer.end(at.partition);
    if *end > progress.base || until == 0 {
        return Ok(None);
    }
    let extents = writer.log().extents(&at.topic).await?;
    let idle = extents.iter().any(|extent| extent.at == *at && extent.high <= progress.base);
    Ok(idle.then_some(until))
}

/// What these ranges of the journal say of one event: for a replay, which names them.
pub async fn of_event(
    writer: &Writer,
    ranges: &[Range],
    event: EventId,
) -> Result<Option<Arc<Recalled>>, StreamError> {
    let mut memory = Memory::of_answers();
    for range in ranges {
        let Range { partition, from, until } = *range;
        let at = TopicPartition { topic: Arc::clone(writer.topic()), partition };
        let until = until.min(from.saturating_add(MAX_RANGE));
        read(writer, &at, from, until, |record| {
            let entries = record::read(&record).unwrap_or_default();
            // Each run of a replay has an input record of its own; they are one event.
            for mut entry in entries.into_iter().filter(|entry| entry.event == Some(event)) {
                entry.place.offset = Some(0);
                memory.take(entry, |_| false);
            }
        })
        .await?;
    }
    Ok(memory.recall(0))
}

/// Who asks what other processes wrote late.
pub struct Look {
    /// About events of this partition,
    pub input: TopicPartition,
    /// from this offset of the journal on,
    pub from: i64,
    /// of those that were not done then
    pub before: Progress,
    /// and are done by now, where there is such a bound.
    pub after: Option<Progress>,
}

impl Look {
    fn asks(&self, journaled: i64, offset: i64) -> bool {
        journaled >= self.from
            && !self.before.is_done(offset)
            && self.after.as_ref().is_none_or(|after| after.is_done(offset))
    }
}

/// What other processes wrote of the attempts that each asks about, without the answers; and how far that is. One reading
/// of the journal's partition serves all: its inputs are the partitions with that number, of each topic of the group.
pub async fn late(
    writer: &Writer,
    partition: i32,
    looks: &[Look],
) -> Result<(Vec<Vec<Entry>>, i64), StreamError> {
    let at = TopicPartition { topic: Arc::clone(writer.topic()), partition };
    let mut found: Vec<Vec<Entry>> = looks.iter().map(|_| Vec::new()).collect();
    // Nobody may be left who asks.
    let Some(from) = looks.iter().map(|look| look.from).min() else { return Ok((found, 0)) };
    let until = read(writer, &at, from, i64::MAX, |record| {
        let topic = record::topic_of(&record);
        let theirs = |look: &Look| topic.as_deref() == Some(&*look.input.topic);
        if record::is_of(&record, writer.run()) || !looks.iter().any(theirs) {
            return;
        }
        for mut entry in record::read(&record).unwrap_or_default() {
            if let What::Outcome(outcome) = &mut entry.what {
                outcome.answer = None;
            }
            let call = matches!(
                entry.what,
                What::Intent(_)
                    | What::Withdrawn { .. }
                    | What::Outcome(Outcome { attempt: Some(_), .. })
            );
            let Some(offset) = entry.place.offset.filter(|_| call) else { continue };
            for (look, found) in looks.iter().zip(&mut found) {
                if theirs(look) && look.asks(record.offset, offset) {
                    found.push(entry.clone());
                }
            }
        }
    })
    .await?;
    Ok((found, until))
}

/// Passes the records of `[from, until)` on that stood there when it began. One past the last one.
async fn read(
    writer: &Writer,
    at: &TopicPartition,
    from: i64,
    until: i64,
    mut each: impl FnMut(Record),
) -> Result<i64, StreamError> {
    let mut follower = writer.log().read(at, from).await?;
    let (mut end, what) = (from, at.to_string());
    while end < until
        && let Some(records) = rest(&mut *follower, &what).await?
    {
        for record in records.into_iter().take_while(|record| record.offset < until) {
            end = record.offset + 1;
            each(record);
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests;
