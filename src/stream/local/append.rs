//! Writing records inside a transaction of the writer: all of them, or the reason why one of them never can be.

use std::collections::HashMap;

use super::records;
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
    let mut ends: HashMap<i64, i64> = HashMap::new();
    for (row, output) in rows.iter().zip(outputs) {
        let end = match ends.get_mut(&row.id) {
            Some(end) => end,
            None => ends.entry(row.id).or_insert(records::high(desk.transaction, row.id)?),
        };
        records::append(desk.transaction, row, *end, output, desk.now)?;
        *end += 1;
    }
    Ok(Ok(()))
}

/// About what these records add to the file.
pub(super) fn size(outputs: &[Output]) -> usize {
    outputs.iter().map(|output| output.size() + 32).sum()
}
