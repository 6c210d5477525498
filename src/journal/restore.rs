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
    /// Whether anything was: else nothing can have been journaled.
    pub resumed: bool,
    /// One past its newest record, as last known.
    pub end: i64,
}

/// What is known of an input, and how far the journal was read for it.
pub type Restored = (Memory, i64);

/// For each input everything from its `progress.journal_low` to the end as it is now, as far as it is about its records
/// that are not done. One reading serves all that have this home. The writer learns its end, too.
pub async fn restore(
    writer: &Writer,
    home: i32,
    inputs: &[Input],
) -> Result<Vec<Restored>, StreamError> {
    // A partition that comes back: what this process was answered meanwhile may still be on its way.
    writer.flush().await;
    let extents = writer.log().extents(writer.topic()).await?;
    let high = extents.iter().find(|extent| extent.at.partition == home);
    let high = high.map_or(0, |extent| extent.high);
    let mut found: Vec<Restored> = Vec::with_capacity(inputs.len());
    let mut read_for: Vec<usize> = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        // Somebody else set the offset: what is read again may have been committed.
        let foreign = input.progress.journal_low == Progress::NO_JOURNAL;
        let memory = if foreign { Memory::of_answers() } else { Memory::default() };
        let nothing = !input.resumed || idle(writer, input).await?;
        if !nothing {
            read_for.push(index);
        }
        found.push((memory, high));
    }
    let low = |input: &Input| match input.progress.journal_low {
        low if (0..=high).contains(&low) => low,
        // Not known, or beyond its end: the journal was made anew.
        _ => 0,
    };
    let Some(from) = read_for.iter().map(|index| low(&inputs[*index])).min() else {
        return Ok(found);
    };
    let at = TopicPartition { topic: Arc::clone(writer.topic()), partition: home };
    let mut unreadable = 0;
    let end = read(writer, &at, from, i64::MAX, |record| {
        let about = record::input_of(&record);
        let is_theirs = |index: &&usize| {
            let input = &inputs[**index];
            record.offset >= low(input) && about.as_ref().is_none_or(|about| *about == input.at)
        };
        let theirs: Vec<usize> = read_for.iter().filter(is_theirs).copied().collect();
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
    writer.learn(home, end);
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

/// Whether the input had no record that is not done after the journal was seen to end there: nobody can have written of one.
/// So an idle topic does not read what the busy ones of its group have written since its last record.
async fn idle(writer: &Writer, input: &Input) -> Result<bool, StreamError> {
    let Input { at, progress, end, .. } = input;
    if *end > progress.base {
        return Ok(false);
    }
    // First the journal, then the input: what comes in between is looked for later.
    let extents = writer.log().extents(&at.topic).await?;
    Ok(extents.iter().any(|extent| extent.at == *at && extent.high <= progress.base))
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
        let most = from.saturating_add(MAX_RANGE);
        if until > most {
            tracing::warn!(%event, %range, "only the first {MAX_RANGE} records are read for this replay");
        }
        let until = until.min(most);
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
/// of that partition of the journal serves all.
pub async fn late(
    writer: &Writer,
    home: i32,
    looks: &[Look],
) -> Result<(Vec<Vec<Entry>>, i64), StreamError> {
    let at = TopicPartition { topic: Arc::clone(writer.topic()), partition: home };
    let mut found: Vec<Vec<Entry>> = looks.iter().map(|_| Vec::new()).collect();
    // Nobody may be left who asks.
    let Some(from) = looks.iter().map(|look| look.from).min() else { return Ok((found, 0)) };
    let until = read(writer, &at, from, i64::MAX, |record| {
        if record::is_of(&record, writer.run()) {
            return;
        }
        let about = record::input_of(&record);
        let theirs = |look: &Look| about.as_ref() == Some(&look.input);
        if !looks.iter().any(theirs) {
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
