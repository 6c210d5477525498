//! What is committed, and where partitions begin and end. Every call blocks: OS threads only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::config::KafkaConfig;
use super::producer;
use crate::stream::{From, Progress, TopicPartition};

/// One call to the broker.
pub(super) const CALL: Duration = Duration::from_secs(5);

/// How long an open transaction is waited for: what a dead instance leaves, and the coordinator's sweep.
const SETTLE: Duration = Duration::from_secs(30);
/// A commit that was answered is visible within moments. What takes longer is a transaction that stays open.
const MOMENTS: Duration = Duration::from_millis(500);

/// A committed offset and its metadata.
pub(super) type Committed = Option<(i64, String)>;

/// The committed offsets of the consumer's group, all from one fetch of stable offsets. One partition whose offset is
/// still in a transaction fails the whole call: come back.
pub(super) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
) -> Result<Vec<(TopicPartition, Committed)>, KafkaError> {
    committed_within(consumer, partitions, CALL)
}

fn committed_within<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    within: Duration,
) -> Result<Vec<(TopicPartition, Committed)>, KafkaError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let fetched = consumer.committed_offsets(list(partitions), within)?;
    let mut found = Vec::with_capacity(partitions.len());
    for at in partitions {
        let Some(element) = fetched.find_partition(&at.topic, at.partition) else {
            found.push((at.clone(), None));
            continue;
        };
        element.error()?;
        found.push((
            at.clone(),
            match element.offset() {
                Offset::Offset(base) => Some((base, metadata(&element))),
                _ => None,
            },
        ));
    }
    Ok(found)
}

/// The same, once no transaction is open on them any more.
pub(super) fn settled<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
) -> Result<Vec<(TopicPartition, Committed)>, KafkaError> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let found = committed(consumer, partitions);
        let open = found.as_ref().err().and_then(KafkaError::rdkafka_error_code)
            == Some(RDKafkaErrorCode::UnstableOffsetCommit);
        if !open || Instant::now() >= deadline {
            return found;
        }
        producer::rest(Duration::from_millis(5));
    }
}

/// What a group committed, for who only wants to know: nothing may be started from it. A transaction that stays open is
/// not waited for: a dead instance leaves one, and its successor, which alone can end it at once, asks here first.
pub(super) fn known(
    config: &KafkaConfig,
    group: &str,
    partitions: &[TopicPartition],
) -> Result<Vec<(TopicPartition, Committed)>, KafkaError> {
    let stable: BaseConsumer = config.observer(group).create()?;
    if let Ok(found) = committed_within(&stable, partitions, MOMENTS) {
        return Ok(found);
    }
    let mut unstable = config.observer(group);
    let unstable: BaseConsumer = unstable.set("isolation.level", "read_uncommitted").create()?;
    committed(&unstable, partitions)
}

/// The crate panics on metadata that is not UTF-8. No version of ours writes such; another program may.
fn metadata(element: &TopicPartitionListElem<'_>) -> String {
    catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned()))
        .unwrap_or_else(|_| "\u{fffd}".to_owned())
}

/// The offsets where a group that never committed starts.
pub(super) fn starts<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[(TopicPartition, From)],
) -> Result<Vec<i64>, KafkaError> {
    let mut wanted = TopicPartitionList::with_capacity(partitions.len());
    for (at, from) in partitions {
        let offset = match from {
            From::Earliest => Offset::Beginning,
            From::Latest => Offset::End,
            From::Time(time) => Offset::Offset((*time).max(0)),
        };
        wanted.add_partition_offset(&at.topic, at.partition, offset)?;
    }
    let places: Vec<&TopicPartition> = partitions.iter().map(|(at, _)| at).collect();
    let mut found = resolve(consumer, wanted, &places)?;
    // No record that late: the end.
    if found.contains(&None) {
        let ends = ends(consumer, &places)?;
        for (offset, end) in found.iter_mut().zip(ends) {
            offset.get_or_insert(end);
        }
    }
    Ok(found.into_iter().flatten().collect())
}

/// One past the last committed record of each partition.
pub(super) fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[&TopicPartition],
) -> Result<Vec<i64>, KafkaError> {
    edges(consumer, partitions, Offset::End)
}

/// The first offset kept of each partition.
pub(super) fn lows<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[&TopicPartition],
) -> Result<Vec<i64>, KafkaError> {
    edges(consumer, partitions, Offset::Beginning)
}

fn edges<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[&TopicPartition],
    edge: Offset,
) -> Result<Vec<i64>, KafkaError> {
    let mut wanted = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        wanted.add_partition_offset(&at.topic, at.partition, edge)?;
    }
    let found = resolve(consumer, wanted, partitions)?;
    Ok(found.into_iter().map(|offset| offset.unwrap_or(0)).collect())
}

/// Asks each leader once. The two edges are times to the protocol (−1 and −2), so they can be asked for all partitions
/// in one call; a consumer of committed records gets the last *stable* offset as the end.
fn resolve<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    wanted: TopicPartitionList,
    places: &[&TopicPartition],
) -> Result<Vec<Option<i64>>, KafkaError> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let found = consumer.offsets_for_times(wanted, CALL)?;
    let mut offsets = Vec::with_capacity(places.len());
    for at in places {
        let Some(element) = found.find_partition(&at.topic, at.partition) else {
            offsets.push(None);
            continue;
        };
        element.error()?;
        offsets.push(match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        });
    }
    Ok(offsets)
}

/// Partitions without offsets.
pub(super) fn list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len().max(1));
    for at in partitions {
        list.add_partition(&at.topic, at.partition);
    }
    list
}

/// Partitions with their progress: a fresh list each time, since the crate never frees metadata that it replaces.
pub(super) fn progress_list<'p>(
    progress: impl Iterator<Item = (&'p TopicPartition, &'p Progress)>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (at, progress) in progress {
        let mut element = list.add_partition(&at.topic, at.partition);
        element.set_offset(Offset::Offset(progress.base))?;
        element.set_metadata(progress.encode());
    }
    Ok(list)
}

/// The partitions of a list.
pub(super) fn places(
    list: &TopicPartitionList,
    known: impl Fn(&str) -> Arc<str>,
) -> Vec<TopicPartition> {
    list.elements()
        .iter()
        .map(|element| TopicPartition {
            topic: known(element.topic()),
            partition: element.partition(),
        })
        .collect()
}
