//! Reads back what a partition's journal says of its unfinished events.

use std::sync::Arc;

use super::entry::{Outcome, What};
use super::memory::{Memory, Recalled};
use super::pages::Range;
use super::record;
use super::writer::Writer;
use crate::event::cost::Attempt;
use crate::event::ids::{AttemptId, EventId};
use crate::stream::{Progress, Record, StreamError, TopicPartition, rest};

/// Records that a replay may make the journal be read for.
const MAX_RANGE: i64 = 1_000_000;

/// Everything from `progress.journal_low` to the end as it is now, as far as it is about records of `input` that are not
/// done. The writer learns where the journal ends.
pub async fn restore(
    writer: &Writer,
    input: &TopicPartition,
    progress: &Progress,
) -> Result<Memory, StreamError> {
    // A partition that comes back: what this process was answered meanwhile may still be on its way.
    writer.flush().await;
    let at = TopicPartition { topic: Arc::clone(writer.topic()), partition: input.partition };
    // Somebody else set the offset: what is read again may have been committed.
    let foreign = progress.journal_low == Progress::NO_JOURNAL;
    let mut memory = if foreign { Memory::of_answers() } else { Memory::default() };
    let mut unreadable = 0;
    let low = progress.journal_low.max(0);
    let end = read(writer, &at, low, i64::MAX, |record| match record::read(&record) {
        Ok(entries) => {
            for entry in entries.into_iter().filter(|entry| entry.place.topic == input.topic) {
                memory.take(entry, |offset| progress.is_done(offset));
            }
        }
        Err(reason) => {
            unreadable += 1;
            if unreadable == 1 {
                let offset = record.offset;
                tracing::warn!(%at, offset, %reason, "a record of the journal is passed over");
            }
        }
    })
    .await?;
    writer.learn(input.partition, end);
    if memory.forgone() > 0 {
        let calls = memory.forgone();
        tracing::error!(%at, calls, "the journal holds more than can be read back: these calls are paid again");
    }
    Ok(memory)
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

/// How those attempts ended that are asked for, as far as it is told from an offset on.
pub async fn outcomes(
    writer: &Writer,
    partition: i32,
    low: i64,
    asked: impl Fn(AttemptId) -> bool + Send,
) -> Result<Vec<Attempt>, StreamError> {
    let at = TopicPartition { topic: Arc::clone(writer.topic()), partition };
    let mut found = Vec::new();
    read(writer, &at, low, i64::MAX, |record| {
        for entry in record::read(&record).unwrap_or_default() {
            if let What::Outcome(Outcome { attempt: Some(attempt), .. }) = entry.what
                && asked(attempt.id)
            {
                found.push(*attempt);
            }
        }
    })
    .await?;
    Ok(found)
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
