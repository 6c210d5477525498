//! Writing records inside a transaction of the writer: all of them, or the reason why one of them never can be.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::records::Appender;
use super::writer::Desk;
use crate::stream::{Output, StreamErrorKind};

/// A record that can never be written.
#[derive(Debug)]
pub(super) struct Unwritable {
    pub index: usize,
    pub kind: StreamErrorKind,
    pub message: String,
}

/// Writes these records at the ends of their topics. Refuses before it writes any.
pub(super) fn append(
    desk: &mut Desk<'_>,
    outputs: &[Output],
) -> rusqlite::Result<Result<(), Unwritable>> {
    let mut rows = Vec::with_capacity(outputs.len());
    for (index, output) in outputs.iter().enumerate() {
        let refuse = |kind, message| Ok(Err(Unwritable { index, kind, message }));
        let Some(row) = desk.topics.find(desk.transaction, &output.topic)? else {
            let message = super::fault::unknown_topic(&output.topic).message;
            return refuse(StreamErrorKind::UnknownTopic, message);
        };
        if let Some(partition) = output.partition.filter(|partition| *partition != 0) {
            let message =
                format!("topic `{}` has one partition, not a partition {partition}", output.topic);
            return refuse(StreamErrorKind::Setting, message);
        }
        if let Some(reason) = row.rules.refuses(output) {
            return refuse(StreamErrorKind::Setting, reason);
        }
        rows.push(row);
    }
    let mut appenders: HashMap<i64, Appender<'_>> = HashMap::new();
    for (row, output) in rows.iter().zip(outputs) {
        let appender = match appenders.entry(row.id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Appender::new(desk.transaction, row)?),
        };
        appender.append(output, desk.now)?;
    }
    Ok(Ok(()))
}

/// About what these records add to the file.
pub(super) fn size(outputs: &[Output]) -> usize {
    outputs.iter().map(|output| output.size() + 32).sum()
}
