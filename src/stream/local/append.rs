//! Writing records inside a transaction of the writer: all of them, or the reason why one of them never can be.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::headers;
use super::records::Appender;
use super::writer::Desk;
use crate::stream::{Ends, Output, StreamErrorKind, TopicPartition};

/// A record that can never be written.
#[derive(Debug)]
pub(super) struct Unwritable {
    pub index: usize,
    pub kind: StreamErrorKind,
    pub message: String,
}

/// A record as it will stand in its table. It shares what it can with the output that it is made of: the writer's thread
/// takes it along, and a copy of every header's name would cost more than packing them.
pub(super) struct Row {
    topic: Arc<str>,
    partition: Option<i32>,
    size: usize,
    pub timestamp: Option<i64>,
    pub key: Option<Bytes>,
    pub headers: Option<Vec<u8>>,
    pub value: Option<Bytes>,
}

/// Packs records, to be written by [`append`].
pub(super) fn pack(outputs: &[Output]) -> Vec<Row> {
    let row = |output: &Output| Row {
        topic: Arc::clone(&output.topic),
        partition: output.partition,
        size: output.size(),
        timestamp: output.timestamp,
        key: output.key.clone(),
        headers: headers::encode(&output.headers),
        value: output.value.clone(),
    };
    outputs.iter().map(row).collect()
}

/// Writes these records at the ends of their topics. Refuses before it writes any.
pub(super) fn append(
    desk: &mut Desk<'_>,
    rows: &[Row],
) -> rusqlite::Result<Result<Ends, Unwritable>> {
    let mut topics = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let refuse = |kind, message| Ok(Err(Unwritable { index, kind, message }));
        let Some(topic) = desk.topics.find(desk.transaction, &row.topic)? else {
            let message = super::fault::unknown_topic(&row.topic).message;
            return refuse(StreamErrorKind::UnknownTopic, message);
        };
        if let Some(partition) = row.partition.filter(|partition| *partition != 0) {
            let message =
                format!("topic `{}` has one partition, not a partition {partition}", row.topic);
            return refuse(StreamErrorKind::Setting, message);
        }
        if let Some(reason) = topic.rules.refuses(&row.topic, row.size) {
            return refuse(StreamErrorKind::Setting, reason);
        }
        topics.push(topic);
    }
    let mut ends = BTreeMap::new();
    let mut appenders: HashMap<i64, Appender<'_>> = HashMap::new();
    for (topic, row) in topics.iter().zip(rows) {
        let appender = match appenders.entry(topic.id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Appender::new(desk.transaction, topic)?),
        };
        appender.append(row, desk.now)?;
        ends.insert(Arc::clone(&row.topic), appender.next());
    }
    let at = |topic| TopicPartition { topic, partition: 0 };
    Ok(Ok(ends.into_iter().map(|(topic, end)| (at(topic), end)).collect()))
}

/// About what these records add to the file.
pub(super) fn size(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.size + 32).sum()
}
