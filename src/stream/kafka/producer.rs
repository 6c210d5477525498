//! A producer whose delivery reports are counted: nobody ever calls its flush.
//!
//! The crate's flush polls in slices of 100 ms while a record is unreported. Counting reports costs a lock per record and
//! a commit takes 5 ms.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::config::WATCHED;
use super::fault;
use super::taken::{Producer, Taking};
use crate::base::failpoint;
use crate::stream::transaction::{Rejection, Subject};
use crate::stream::{Ends, Output, TopicPartition};

/// How many failures of one batch are remembered.
const REMEMBERED: usize = 16;
/// After a failure, reports that do not come for this long will not come before an abort.
const STANDSTILL: Duration = Duration::from_millis(200);

/// Makes a producer that counts.
pub(super) fn produce_with(config: &ClientConfig, taking: Taking) -> Result<Producer, KafkaError> {
    // What is switched on only to be watched is not passed on.
    let asked = config.get("debug").is_some_and(|debug| debug != WATCHED);
    let (troubles, taken) = Default::default();
    Producer::new(config, Reports { troubles, taken, asked }, taking)
}

/// Passes a line of the client's log on. Its texts name brokers and settings, never records or values of settings.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // It warns of every producer's setting that a consumer was given, and the other way round.
        _ if facility == "CONFWARN" => {
            tracing::debug!(target: "vivremotion::kafka", facility, "{message}");
        }
        RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
            tracing::debug!(target: "vivremotion::kafka", facility, "{message}");
        }
        _ => tracing::warn!(target: "vivremotion::kafka", facility, "{message}"),
    }
}

/// Whether a line tells that a request may have been lost: a connection that was up broke, or an answer did not come. One
/// that could not be made carried nothing.
pub(super) fn is_trouble(facility: &str, message: &str) -> bool {
    match facility {
        "FAIL" => message.contains(" in state UP"),
        "REQTMOUT" | "TIMEOUT" => true,
        _ => false,
    }
}

/// Takes delivery reports and counts errors of the connection.
pub(super) struct Reports {
    troubles: AtomicU64,
    /// What came off the client's queue: reports, errors, lines of its log, statistics.
    taken: AtomicU64,
    asked: bool,
}

impl Reports {
    /// Errors seen so far: connections lost, requests without an answer.
    pub(super) fn troubles(&self) -> u64 {
        self.troubles.load(Ordering::SeqCst)
    }

    /// What was taken off the client's queue so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        if is_trouble(facility, message) {
            self.troubles.fetch_add(1, Ordering::SeqCst);
        }
        if self.asked || !matches!(level, RDKafkaLogLevel::Debug) {
            log(level, facility, message);
        }
    }

    // Nobody reads them here.
    fn stats_raw(&self, _: &[u8]) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.fetch_add(1, Ordering::SeqCst);
        self.taken.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(target: "vivremotion::kafka", %error, "{reason}");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let outcome = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        };
        ticket.tally.report(ticket.index, outcome);
        self.taken.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ties a record to its batch.
pub(super) struct Ticket {
    index: usize,
    tally: Arc<Tally>,
}

/// The reports of one batch.
#[derive(Default)]
pub(super) struct Tally {
    count: Mutex<Count>,
    changed: Condvar,
    /// The same for tasks.
    settled: Notify,
}

#[derive(Default)]
struct Count {
    pending: usize,
    reported: usize,
    failed: usize,
    failures: Vec<(usize, RDKafkaErrorCode)>,
    /// Where what was written stands: index of the record, partition, offset.
    written: Vec<(usize, i32, i64)>,
}

/// How waiting for a batch's reports ended.
pub(super) enum Waited {
    /// All are in and good.
    Delivered,
    /// Some failed; the others are in, or will not come.
    Failed,
    /// Some are missing.
    Missing,
}

impl Tally {
    fn lock(&self) -> std::sync::MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, index: usize, outcome: Result<(i32, i64), RDKafkaErrorCode>) {
        let code = outcome.err();
        let mut count = self.lock();
        if let Ok((partition, offset)) = outcome {
            count.written.push((index, partition, offset));
        }
        count.pending = count.pending.saturating_sub(1);
        count.reported += 1;
        if let Some(code) = code {
            count.failed += 1;
            // The ones that say why are worth more than the ones that were swept away with them.
            let swept =
                matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight);
            if count.failures.len() < REMEMBERED && !swept {
                count.failures.push((index, code));
            }
        }
        if count.pending == 0 || code.is_some() {
            self.changed.notify_all();
            self.settled.notify_waiters();
        }
    }

    /// Waits on an OS thread, at most `within`.
    pub(super) fn wait(&self, within: Duration) -> Waited {
        let deadline = Instant::now() + within;
        let mut count = self.lock();
        loop {
            if count.pending == 0 {
                return if count.failed == 0 { Waited::Delivered } else { Waited::Failed };
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Waited::Missing;
            }
            let before = (count.failed > 0).then_some(count.reported);
            let slice = if before.is_some() { left.min(STANDSTILL) } else { left };
            count = match self.changed.wait_timeout(count, slice) {
                Ok((count, _)) => count,
                Err(poisoned) => poisoned.into_inner().0,
            };
            if before == Some(count.reported) && count.pending > 0 {
                return Waited::Failed;
            }
        }
    }

    /// Waits on a task until every record is reported.
    pub(super) async fn settled(&self) {
        loop {
            let notified = self.settled.notified();
            if self.lock().pending == 0 {
                return;
            }
            notified.await;
        }
    }

    /// One past the highest offset written, for each partition.
    pub(super) fn ends(&self, outputs: &[Output]) -> Ends {
        let mut ends = BTreeMap::new();
        for (index, partition, offset) in &self.lock().written {
            let Some(output) = outputs.get(*index) else { continue };
            let at = TopicPartition { topic: Arc::clone(&output.topic), partition: *partition };
            let end = ends.entry(at).or_insert(0);
            *end = (offset + 1).max(*end);
        }
        ends.into_iter().collect()
    }

    /// What went wrong, if anything did.
    pub(super) fn rejection(&self, outputs: &[Output]) -> Option<Rejection> {
        let count = self.lock();
        let mut unwritable = count.failures.iter().filter(|(_, code)| fault::is_unwritable(*code));
        let (index, code, alone) = match (unwritable.next(), count.failures.first()) {
            (Some((index, code)), _) => (*index, *code, unwritable.next().is_none()),
            (None, Some((index, code))) => (*index, *code, false),
            (None, None) if count.failed > 0 => (0, RDKafkaErrorCode::PurgeQueue, false),
            (None, None) => return None,
        };
        let unwritable = fault::is_unwritable(code);
        let topic = outputs.get(index).map_or("", |output| &*output.topic);
        Some(Rejection {
            // One batch on the wire fails as a whole: several failures say nothing about which record is at fault.
            index: (unwritable && alone).then_some(index),
            unwritable,
            subject: match code {
                RDKafkaErrorCode::Fatal => Subject::Other,
                code => fault::subject_of(code),
            },
            message: format!("a record for `{topic}` was not written: {code}"),
        })
    }
}

/// Hands records over from `next` on; stops where the queue is full and says how far it came.
pub(super) fn hand_over(
    producer: &Producer,
    outputs: &[Output],
    next: usize,
    tally: &Arc<Tally>,
) -> Result<usize, Rejection> {
    let handed = hand_over_each(producer, outputs, next, tally);
    producer.handed_over();
    handed
}

fn hand_over_each(
    producer: &Producer,
    outputs: &[Output],
    next: usize,
    tally: &Arc<Tally>,
) -> Result<usize, Rejection> {
    for (index, output) in outputs.iter().enumerate().skip(next) {
        let reject = |code: RDKafkaErrorCode| Rejection {
            index: Some(index),
            unwritable: fault::is_unwritable(code),
            subject: fault::subject_of(code),
            message: format!("a record for `{}` was not accepted: {code}", output.topic),
        };
        let ticket = Box::new(Ticket { index, tally: tally.clone() });
        let mut record: BaseRecord<'_, [u8], [u8], Box<Ticket>> =
            BaseRecord::with_opaque_to(&output.topic, ticket);
        record.partition = output.partition;
        record.key = output.key.as_deref();
        record.payload = output.value.as_deref();
        record.timestamp = output.timestamp;
        if !output.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(output.headers.len());
            for (name, value) in &output.headers {
                headers = headers.insert(Header { key: name, value: value.as_deref() });
            }
            record.headers = Some(headers);
        }
        tally.lock().pending += 1;
        if let Err((error, _)) = producer.send(record) {
            tally.lock().pending -= 1;
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::InvalidArgument);
            if code == RDKafkaErrorCode::QueueFull {
                return Ok(index);
            }
            return Err(reject(code));
        }
        failpoint::reached_with("commit.sent", || output.topic.to_string());
    }
    Ok(outputs.len())
}

/// The client's queue took nothing for as long as a call may take.
pub(super) fn queue_full() -> Rejection {
    Rejection {
        index: None,
        unwritable: false,
        subject: Subject::Other,
        message: "the client's queue stayed full".to_owned(),
    }
}

/// Waits until the client has let go of the reported records: its own flush, which the crate's commit calls, would poll
/// for 100 ms if one were left.
pub(super) fn let_go(producer: &Producer) {
    for _ in 0..2_000 {
        if producer.in_flight_count() == 0 {
            return;
        }
        thread::park_timeout(Duration::from_micros(20));
    }
}

/// Rests on an OS thread.
pub(super) fn rest(pause: Duration) {
    let until = Instant::now() + pause;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}
