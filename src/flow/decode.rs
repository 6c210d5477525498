//! Second door: bytes to an event, and which event it is.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::consume::Consumed;
use super::outage::{Outages, Patience};
use super::refusal::{Refusal, TombstoneAs, undecodable};
use crate::base::clock::Clock;
use crate::base::retry::Backoff;
use crate::codec::{Codec, CodecError};
use crate::event::identity::Origin;
use crate::event::ids::EventId;
use crate::pipeline::plan::Tombstones;
use crate::stream::{Headers, header};

/// Between two questions to a registry that is down.
const REGISTRY: Backoff =
    Backoff { base: Duration::from_millis(500), most: Duration::from_secs(10) };

/// Waits until a registry that is down may be asked again.
pub(super) async fn registry_turn(
    patience: &mut Patience,
    error: &CodecError,
    clock: &Arc<dyn Clock>,
) {
    let draw = clock.draw() as u64;
    patience.turn(&"schema registry".into(), error, &REGISTRY, draw).await;
}

/// What decoding needs.
pub struct Decoder {
    /// Of the source's topic.
    pub codec: Arc<dyn Codec>,
    /// What a null value means.
    pub tombstones: Tombstones,
    /// Cluster id of the log.
    pub cluster: Arc<str>,
    /// The group that reads: a replay that names another one is not for it.
    pub group: Arc<str>,
    /// Where a registry that is down is named.
    pub outages: Outages,
    /// Draws for pauses.
    pub clock: Arc<dyn Clock>,
}

/// An event.
#[derive(Debug)]
pub struct Decoded {
    /// Where it came from.
    pub consumed: Arc<Consumed>,
    /// Its identity for ever.
    pub id: EventId,
    /// Where its record first stood: elsewhere than `consumed` on a replay.
    pub origin: Origin,
    /// Result id of the first run, on a replay.
    pub replay_of: Option<String>,
    /// The value; null for a tombstone that is delivered.
    pub event: Arc<Value>,
}

/// Decodes the value. Waits, without end, for a registry that is down: poison is what will never be readable, not what
/// is not readable now.
pub async fn decode(decoder: &Decoder, consumed: &Arc<Consumed>) -> Result<Decoded, Refusal> {
    let record = &consumed.record;
    if let Some(replay) = replayed(&record.headers, &record.at.topic)
        && *replay.group != *decoder.group
    {
        return Err(Refusal::Elsewhere(replay.group));
    }
    let event = match (&consumed.record.value, decoder.tombstones) {
        (Some(value), _) => {
            let mut patience = decoder.outages.patience();
            loop {
                let decoded = decoder.codec.decode(value).await;
                match decoded.map_err(|error| (undecodable(&error), error)) {
                    Err((None, error)) => {
                        registry_turn(&mut patience, &error, &decoder.clock).await
                    }
                    Err((Some(refusal), _)) => {
                        patience.answered();
                        return Err(refusal);
                    }
                    Ok(event) => {
                        patience.answered();
                        break event;
                    }
                }
            }
        }
        (None, Tombstones::Deliver) => Value::Null,
        (None, Tombstones::Skip) => return Err(Refusal::Tombstone(TombstoneAs::Nothing)),
        (None, Tombstones::DeadLetter) => return Err(Refusal::Tombstone(TombstoneAs::Poison)),
    };
    let (id, origin, replay_of) = identify(&decoder.cluster, consumed);
    let event = Arc::new(event);
    Ok(Decoded { consumed: Arc::clone(consumed), id, origin, replay_of, event })
}

/// Which event a record is. A replay carries its origin's coordinates; they count only if they are of the topic that it
/// stands in and hash to the id it names, and if it says which group it is for: whoever reads what a pipeline wrote about
/// a replay gets an event of its own.
pub fn identify(cluster: &Arc<str>, consumed: &Consumed) -> (EventId, Origin, Option<String>) {
    let record = &consumed.record;
    if let Some(Replay { id, origin, of, .. }) = replayed(&record.headers, &record.at.topic) {
        return (id, origin, Some(of));
    }
    let origin = Origin {
        cluster: cluster.to_string(),
        topic: record.at.topic.to_string(),
        partition: record.at.partition,
        offset: record.offset,
        timestamp: record.timestamp,
    };
    (event_id(&origin), origin, None)
}

fn event_id(origin: &Origin) -> EventId {
    EventId::new(&origin.cluster, &origin.topic, origin.partition, origin.offset, origin.timestamp)
}

/// An event that was here before.
struct Replay {
    id: EventId,
    origin: Origin,
    /// Result id of the first run.
    of: String,
    group: String,
}

fn replayed(headers: &Headers, topic: &str) -> Option<Replay> {
    let text = |name| header(headers, name).and_then(|value| std::str::from_utf8(value).ok());
    let of = text("vivremotion.replay_of")?.to_owned();
    let group = text("vivremotion.group")?.to_owned();
    let id: EventId = text("vivremotion.event_id")?.parse().ok()?;
    let origin: Origin = text("vivremotion.origin")?.parse().ok()?;
    (event_id(&origin) == id && origin.topic == topic).then_some(Replay { id, origin, of, group })
}

#[cfg(test)]
mod tests;
