//! Reads a topic without a group.

use std::time::Duration;

use async_trait::async_trait;

use super::cursor::{Answer, Cursor, Wanted};
use super::reads::Reads;
use super::tables::TopicRow;
use super::{fault, records};
use crate::stream::{Follower, Record, StreamError, TopicPartition};

/// See the module.
pub(super) struct Tail {
    cursor: Cursor,
    reads: Reads,
    wanted: Wanted,
    waiting: Option<Answer>,
    /// One past the last record that stood there when it was opened.
    end: i64,
}

impl Tail {
    /// Reads on from `start`.
    pub fn new(cursor: Cursor, reads: Reads, row: &TopicRow, start: i64, end: i64) -> Tail {
        let at = TopicPartition { topic: row.topic.name.clone(), partition: 0 };
        let wanted = Wanted { at, topic: row.id, from: start };
        Tail { cursor, reads, wanted, waiting: None, end }
    }
}

#[async_trait]
impl Follower for Tail {
    async fn next(&mut self, wait: Duration) -> Result<Vec<Record>, StreamError> {
        let answer = self.waiting.get_or_insert_with(|| self.cursor.ask(vec![self.wanted.clone()]));
        let Ok(answer) = tokio::time::timeout(wait, answer).await else {
            if self.caught_up() {
                return Ok(Vec::new());
            }
            // Retention may have dropped all that stood there.
            let (topic, from, end) = (self.wanted.topic, self.wanted.from, self.end);
            let left = self.reads.ask(move |file| records::any(file, topic, from, end)).await;
            if !left.map_err(fault::stream)? {
                self.end = from;
            }
            return Ok(Vec::new());
        };
        self.waiting = None;
        let answer = answer.unwrap_or_else(|_| Err(fault::closed()));
        let records = answer.map_err(fault::stream)?;
        if let Some(last) = records.last() {
            self.wanted.from = last.offset + 1;
        }
        Ok(records)
    }

    fn caught_up(&self) -> bool {
        self.wanted.from >= self.end
    }
}
