//! What a start finds waiting, and about what it will cost: said before it begins.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use super::estimate::{self, Estimate};
use crate::pipeline::plan::Plan;
use crate::settings::Settings;
use crate::stage::StageKind;
use crate::stream::{Extent, From, Log, StreamError, StreamErrorKind};

/// Records whose size is looked at.
const SAMPLE: usize = 100;
/// Pipelines that are looked at a time: each look is a few questions to the log, and mostly waiting.
const AT_ONCE: usize = 16;
/// Longest wait for them.
const WAIT: Duration = Duration::from_secs(2);

/// What waits for one pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Records between where the group starts and the end.
    pub records: i64,
    /// Whether the group never committed.
    pub first: bool,
    /// What they may cost, at a first start; none when nothing waits or no model is asked.
    pub cost: Option<Estimate>,
    /// Whether what was committed can't be read, so that nobody knows: the reader says more.
    pub unreadable: bool,
}

impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unreadable {
            return f.write_str("what it has committed can't be read");
        }
        let start = if self.first { "first start" } else { "resuming" };
        match self.records {
            1 => write!(f, "{start}, 1 record waits")?,
            records => write!(f, "{start}, {records} records wait")?,
        }
        match &self.cost {
            Some(cost) => write!(f, ", {}", cost.told(self.records)),
            None => Ok(()),
        }
    }
}

/// What waits for each pipeline, by its name. `now` in milliseconds since the epoch.
pub async fn of_all(
    log: &dyn Log,
    plans: &[Plan<StageKind>],
    settings: &Settings,
    now: i64,
) -> Result<Vec<(Arc<str>, Backlog)>, StreamError> {
    let looks = plans.iter().map(async |plan| {
        let backlog = of(log, plan, settings, now).await?;
        Ok((Arc::clone(&plan.name), backlog))
    });
    stream::iter(looks).buffered(AT_ONCE).try_collect().await
}

/// Counts what waits, and looks at the first of it.
async fn of(
    log: &dyn Log,
    plan: &Plan<StageKind>,
    settings: &Settings,
    now: i64,
) -> Result<Backlog, StreamError> {
    let topic = &plan.source.topic;
    let extents = log.extents(topic).await?;
    let committed = match log.committed(&plan.group, topic).await {
        // Its partition stands still, the others go on.
        Err(error) if error.kind == StreamErrorKind::CorruptProgress => {
            return Ok(Backlog { records: 0, first: false, cost: None, unreadable: true });
        }
        committed => committed?,
    };
    let waiting = |extent: &Extent| {
        let done = committed.iter().find(|(partition, _)| *partition == extent.at.partition);
        match (done, plan.source.from) {
            (Some((_, progress)), _) => extent.high - progress.base,
            (None, From::Latest) => 0,
            // A time is not looked up here: the whole topic is the most it can be.
            (None, From::Earliest | From::Time(_)) => extent.high - extent.low,
        }
    };
    let records: i64 = extents.iter().map(|extent| waiting(extent).max(0)).sum();
    let asks = plan.stages.iter().any(|stage| !stage.kind.facts().models.is_empty());
    let first = committed.is_empty();
    // Who goes on after a crash is not to wait for old records to be read.
    let cost = match first && records > 0 && asks {
        true => Some(estimate::of(plan, settings, size(log, plan).await?, now)),
        false => None,
    };
    Ok(Backlog { records, first, cost, unreadable: false })
}

/// Mean size, in bytes, of the oldest values of a pipeline's topic.
async fn size(log: &dyn Log, plan: &Plan<StageKind>) -> Result<u64, StreamError> {
    let from = match plan.source.from {
        From::Latest => From::Earliest,
        from @ (From::Earliest | From::Time(_)) => from,
    };
    let mut follower = log.follow(&plan.source.topic, from).await?;
    let (mut count, mut bytes) = (0, 0);
    while count < SAMPLE && !follower.caught_up() {
        let records = follower.next(WAIT).await?;
        if records.is_empty() {
            break;
        }
        count += records.len();
        bytes += records.iter().filter_map(|r| r.value.as_ref()).map(|v| v.len()).sum::<usize>();
    }
    Ok(u64::try_from(bytes / count.max(1)).unwrap_or(u64::MAX))
}
