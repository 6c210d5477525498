//! Copies records out of the client's buffers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use crate::stream::{Headers, Record, TopicPartition};

/// Copies a record out of the client's buffer, which would pin a whole fetch.
pub(super) fn copy(message: &BorrowedMessage<'_>, topic: Arc<str>) -> Record {
    Record {
        at: TopicPartition { topic, partition: message.partition() },
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: headers(message),
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let Some(headers) = message.headers() else { return Headers::new() };
    let one = |index: usize| {
        let header = headers.get(index);
        (header.key.to_owned().into(), header.value.map(Bytes::copy_from_slice))
    };
    let all = || (0..headers.count()).map(one).collect();
    // The crate panics on a name that is not UTF-8, which any producer can send: such a header loses its name and value,
    // the others stay.
    catch_unwind(AssertUnwindSafe(all)).unwrap_or_else(|_| {
        let unreadable = |_| ("\u{fffd}".into(), None);
        let lenient =
            |index| catch_unwind(AssertUnwindSafe(|| one(index))).unwrap_or_else(unreadable);
        (0..headers.count()).map(lenient).collect()
    })
}
