//! The rows of the table.

use std::future::Future;

use crate::plan::Place;
use crate::report::Report;
use crate::services::{Need, Services};

mod cost;
mod delay;
mod flight;
mod keys;
mod memory;
mod scale;
mod starts;
mod steady;

/// What rows are given.
pub struct Stage {
    /// Brokers and directories.
    pub services: Services,
    /// Small.
    pub quick: bool,
    /// Repetitions.
    pub runs: usize,
    /// Of the row that takes long.
    pub minutes: u64,
}

impl Stage {
    /// One number for a measurement, another to see that it runs.
    pub fn pick<T>(&self, measured: T, quick: T) -> T {
        if self.quick { quick } else { measured }
    }

    /// The run's broker and registry.
    pub fn kafka(&self) -> Place {
        let (kafka, registry) = (self.services.kafka(), self.services.registry());
        Place::Kafka { brokers: kafka.brokers(), registry: registry.url() }
    }

    /// Runs it to its end.
    pub fn block_on<T>(&self, measured: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(measured)
    }
}

/// A row.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it measures.
    pub title: &'static str,
    /// What it needs.
    pub needs: &'static [Need],
    /// Measures it.
    pub measure: fn(&Stage, &mut Report),
}

/// What rows on Kafka need.
const KAFKA: &[Need] = &[Need::Kafka, Need::Registry];

/// All rows, in order.
pub const ROWS: &[Row] = &[
    Row {
        name: "P1",
        title: "engine CPU per event, exactly once with the journal",
        needs: KAFKA,
        measure: cost::engine,
    },
    Row {
        name: "P2",
        title: "like a stream processor: JSON in, HTTP call, JSON out, at least once",
        needs: KAFKA,
        measure: cost::plain,
    },
    Row { name: "P3", title: "added latency", needs: KAFKA, measure: delay::added_latency },
    Row {
        name: "P4",
        title: "10,000 calls of a second in flight",
        needs: KAFKA,
        measure: flight::wide,
    },
    Row {
        name: "P5",
        title: "10,000 records of some 2.5 ms of work, one partition, 1,000 keys, 100 in flight, beside a library",
        needs: KAFKA,
        measure: keys::keys,
    },
    Row {
        name: "P6",
        title: "a graph of six stages with a slow side arm",
        needs: &[],
        measure: flight::graph,
    },
    Row {
        name: "P7",
        title: "exactly once with the journal beside at least once without",
        needs: KAFKA,
        measure: cost::promise,
    },
    Row {
        name: "P8",
        title: "from kill -9 to the next commit",
        needs: KAFKA,
        measure: starts::killed,
    },
    Row { name: "P9", title: "half an hour of load", needs: KAFKA, measure: steady::steady },
    Row {
        name: "P10",
        title: "1,000 pipelines, 100,000 keys, 240 partitions",
        needs: KAFKA,
        measure: scale::scale,
    },
    Row { name: "P11", title: "start and check", needs: &[], measure: starts::ready },
    Row { name: "M1", title: "questions to the local memory", needs: &[], measure: memory::asked },
];
