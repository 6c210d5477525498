//! Reads back what a partition's journal says of its unfinished events.

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

/// Everything from `progress.journal_low` to the end as it is now, as far as it is about records of `input` that are not
/// done; and where that is. The writer learns it, too.
pub async fn restore(
    writer: &Writer,
    input: &TopicPartition,
    progress: &Progress,
) -> Result<(Memory, i64), StreamError> {
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
            // That this process was given the partition says nothing of who had it before.
            let own =
                |entry: &Entry| matches!(entry.what, What::Opened) && entry.run == writer.run();
            let theirs = entries.into_iter().filter(|entry| entry.place.topic == input.topic);
            for entry in theirs.filter(|entry| !own(entry)) {
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
    Ok((memory, end))
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

/// What other processes wrote from `from` on of those attempts whose events are asked for, by the offset of their records,
/// without the answers; and how far that is.
pub async fn late(
    writer: &Writer,
    input: &TopicPartition,
    from: i64,
    asked: impl Fn(i64) -> bool + Send,
) -> Result<(Vec<Entry>, i64), StreamError> {
    let at = TopicPartition { topic: Arc::clone(writer.topic()), partition: input.partition };
    let mut found = Vec::new();
    let until = read(writer, &at, from, i64::MAX, |record| {
        if record::is_of(&record, writer.run()) {
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
            if call && entry.place.topic == input.topic && entry.place.offset.is_some_and(&asked) {
                found.push(entry);
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
