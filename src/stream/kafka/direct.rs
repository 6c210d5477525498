//! At least once: outputs first, then progress. A crash in between writes outputs again.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::producer::Producer as _;
use tokio::time::Instant;

use super::config::KafkaConfig;
use super::member::Shared;
use super::producer::{self, Tally, Waited};
use super::taken::{Producer, Taking};
use super::writer::{Worker, failed};
use super::{fault, offsets};
use crate::stream::transaction::{REPEAT_WITHIN, Rejection, Subject};
use crate::stream::{Batch, CommitError, CommitErrorKind, StreamError};

/// Records have 10 s; a report that comes later never comes.
const REPORTS_WITHIN: Duration = Duration::from_secs(11);

/// Writes batches without transactions.
pub(super) struct Direct {
    config: KafkaConfig,
    shared: Arc<Shared>,
    producer: Option<Producer>,
}

impl Direct {
    pub(super) fn new(config: KafkaConfig, shared: Arc<Shared>) -> Self {
        Direct { config, shared, producer: None }
    }

    fn produce(&mut self, batch: &Batch) -> Result<(), CommitError> {
        if batch.outputs.is_empty() {
            return Ok(());
        }
        self.open().map_err(|error| failed(CommitErrorKind::Transient, &error.message))?;
        let Some(producer) = &self.producer else {
            return Err(failed(CommitErrorKind::Transient, "there is no producer"));
        };
        let tally = Arc::new(Tally::default());
        let refused = hand_over(producer, batch, &tally);
        let waited = tally.wait(REPORTS_WITHIN);
        let missing = matches!(waited, Waited::Missing);
        let rejection = refused.err().or_else(|| tally.rejection(&batch.outputs));
        let fatal = producer.client().fatal_error().is_some();
        if missing || fatal {
            self.producer = None;
        }
        match rejection {
            None if missing => {
                Err(failed(CommitErrorKind::Transient, "records were not acknowledged in time"))
            }
            None => Ok(()),
            Some(Rejection { index, unwritable: true, message, .. }) => {
                Err(CommitError { kind: CommitErrorKind::Unwritable(index), message })
            }
            Some(Rejection { message, .. }) => {
                Err(CommitError { kind: CommitErrorKind::Transient, message })
            }
        }
    }

    fn store(&self, batch: &Batch) -> Result<(), CommitError> {
        if batch.progress.is_empty() {
            return Ok(());
        }
        let progress = batch.progress.iter().map(|(at, _, progress)| (at, progress));
        let stored = offsets::progress_list(progress).map(|list| {
            self.shared.with_consumer(|consumer| consumer.commit(&list, CommitMode::Sync))
        });
        let error = match stored {
            Ok(Some(Ok(()))) => return Ok(()),
            Ok(Some(Err(error))) | Err(error) => error,
            Ok(None) => return Err(failed(CommitErrorKind::Stale, "the group was left")),
        };
        let subject = error.rdkafka_error_code().map_or(Subject::Other, fault::subject_of);
        let kind = match subject {
            Subject::Membership => CommitErrorKind::Stale,
            Subject::Progress => CommitErrorKind::Fatal,
            Subject::Producer | Subject::Access | Subject::Other => CommitErrorKind::Transient,
        };
        Err(CommitError { kind, message: error.to_string() })
    }
}

impl Worker for Direct {
    fn open(&mut self) -> Result<(), StreamError> {
        if self.producer.is_none() {
            let made = producer::produce_with(&self.config.producer(), Taking::AtOnce);
            self.producer = Some(made.map_err(|error| fault::stream_error("writing", &error))?);
        }
        Ok(())
    }

    fn commit(
        &mut self,
        _membership: Option<ConsumerGroupMetadata>,
        batch: &Batch,
    ) -> Result<(), CommitError> {
        self.produce(batch)?;
        self.store(batch)
    }
}

fn hand_over(producer: &Producer, batch: &Batch, tally: &Arc<Tally>) -> Result<(), Rejection> {
    let deadline = Instant::now() + REPEAT_WITHIN;
    let mut next = 0;
    loop {
        next = producer::hand_over(producer, &batch.outputs, next, tally)?;
        if next == batch.outputs.len() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(producer::queue_full());
        }
        producer::rest(Duration::from_millis(1));
    }
}
