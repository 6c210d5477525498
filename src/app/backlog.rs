//! What a first start finds waiting, and about what it will cost: said before it begins.

use crate::pipeline::plan::Plan;
use crate::stage::StageKind;
use crate::stream::{Extent, From, Log, StreamError};

/// What waits for one pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Records between where the group starts and the end.
    pub records: i64,
    /// Whether the group never committed.
    pub first: bool,
}

/// Counts what waits.
pub async fn of(log: &dyn Log, plan: &Plan<StageKind>) -> Result<Backlog, StreamError> {
    let topic = &plan.source.topic;
    let extents = log.extents(topic).await?;
    let committed = log.committed(&plan.group, topic).await?;
    let waiting = |extent: &Extent| {
        let done = committed.iter().find(|(partition, _)| *partition == extent.at.partition);
        match (done, plan.source.from) {
            (Some((_, progress)), _) => extent.high - progress.base,
            (None, From::Latest) => 0,
            // A time is not looked up here: the whole topic is the most it can be.
            (None, From::Earliest | From::Time(_)) => extent.high - extent.low,
        }
    };
    Ok(Backlog {
        records: extents.iter().map(|extent| waiting(extent).max(0)).sum(),
        first: committed.is_empty(),
    })
}
