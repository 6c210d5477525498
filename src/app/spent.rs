//! What was spent before this start, summed from the cost topic: budgets go on where they were.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::codec::{Codec, CodecErrorKind};
use crate::event::money::Money;
use crate::stream::{From, Log, Record, StreamError, StreamErrorKind, rest};

/// Sums of amounts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Spent {
    /// By pipeline: since `since`, and since ever (only when asked for).
    pub pipelines: HashMap<String, Sums>,
}

/// Of one pipeline.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// Since the start of the day.
    pub today: Money,
    /// Of everything that was read.
    pub total: Money,
}

impl Spent {
    /// Of the whole engine, since the start of the day.
    pub fn today(&self) -> Money {
        self.pipelines.values().map(|sums| sums.today).sum()
    }

    fn add(&mut self, value: &Value, day: i64) {
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let Some(amount) = text("amount").and_then(|amount| amount.parse::<Money>().ok()) else {
            return;
        };
        let Some(pipeline) = text("pipeline") else { return };
        let time = value.get("time").and_then(|time| {
            let text = time.as_str().and_then(crate::base::clock::parse_time);
            text.or_else(|| time.as_i64())
        });
        let sums = self.pipelines.entry(pipeline.to_owned()).or_default();
        sums.total += amount;
        if time.is_some_and(|time| time >= day) {
            sums.today += amount;
        }
    }
}

/// Reads the cost topic from the start of the day (or from its start, when a total limit is set) to its end.
pub async fn sum(
    log: &dyn Log,
    topic: &Arc<str>,
    codec: &dyn Codec,
    day: i64,
    everything: bool,
) -> Result<Spent, StreamError> {
    let from = if everything { From::Earliest } else { From::Time(day) };
    let mut follower = log.follow(topic, from).await?;
    let mut spent = Spent::default();
    let (mut unread, mut read) = (0usize, 0usize);
    while let Some(records) = rest(&mut *follower, topic).await? {
        for Record { value, .. } in records {
            read += 1;
            match &value {
                Some(bytes) => match codec.decode(bytes).await {
                    Ok(value) => spent.add(&value, day),
                    // Not summed, it would be spent again.
                    Err(error) if error.kind == CodecErrorKind::Unavailable => {
                        let (kind, message) = (StreamErrorKind::Unavailable, error.message);
                        return Err(StreamError { kind, message });
                    }
                    Err(_) => unread += 1,
                },
                None => unread += 1,
            }
        }
    }
    if unread > 0 {
        tracing::warn!(%topic, unread, read, "cost events that can't be read are not summed");
    }
    Ok(spent)
}

/// The start of the UTC day of a time, milliseconds since the epoch.
pub fn day_of(now: i64) -> i64 {
    const DAY: i64 = 86_400_000;
    now.div_euclid(DAY) * DAY
}
