//! Who and what an event is about: the CloudEvents attributes that all four event types share.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

/// The common head of every event of ours. `None` is written as null in Avro and left out in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Identity<'a> {
    /// Unique within `source`.
    pub id: Uuid,
    /// Who made it: for our own events `vivremotion/<pipeline>`.
    pub source: &'a str,
    /// CloudEvents type, such as `vivremotion.result`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What it is about: a device, an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<&'a str>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<&'a str>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'a str>,
    /// Tags for cost allocation, copied from the request to its result and its costs.
    pub attributes: BTreeMap<&'a str, &'a str>,
}

/// Where a record stood when it was first read; travels as the header `vivremotion.origin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Cluster id of the log.
    pub cluster: String,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The record's timestamp, milliseconds since the epoch.
    #[serde(serialize_with = "super::time::rfc3339")]
    pub timestamp: i64,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Origin { cluster, topic, partition, offset, timestamp } = self;
        write!(f, "{cluster}/{topic}/{partition}/{offset}/{timestamp}")
    }
}

/// The inverse of its `Display`; a topic has no slash in it.
impl std::str::FromStr for Origin {
    type Err = OriginError;
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let parts: Vec<&str> = text.split('/').collect();
        let [cluster, topic, partition, offset, timestamp] = parts[..] else {
            return Err(OriginError);
        };
        Ok(Origin {
            cluster: cluster.to_owned(),
            topic: topic.to_owned(),
            partition: partition.parse().map_err(|_| OriginError)?,
            offset: offset.parse().map_err(|_| OriginError)?,
            timestamp: timestamp.parse().map_err(|_| OriginError)?,
        })
    }
}

/// A text that names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginError;

impl std::fmt::Display for OriginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("expected `cluster/topic/partition/offset/timestamp_ms`")
    }
}

impl std::error::Error for OriginError {}
