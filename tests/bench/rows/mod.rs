//! The rows of the table.

use std::future::Future;

use crate::job::Place;
use crate::report::Report;
use crate::services::{Need, Services};

mod cost;
mod delay;
mod flight;
mod memory;
mod starts;

/// What rows are given.
pub struct Stage {
    /// Brokers and directories.
    pub services: Services,
    /// Small.
    pub quick: bool,
    /// Repetitions.
    pub runs: usize,
}

impl Stage {
    /// One number for a measurement, another to see that it runs.
    pub fn pick<T>(&self, measured: T, quick: T) -> T {
        if self.quick { quick } else { measured }
    }

    /// The run's broker.
    pub fn kafka(&self) -> Place {
        Place::Kafka { brokers: self.services.kafka().brokers() }
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

/// All rows, in order.
pub const ROWS: &[Row] = &[
    Row {
        name: "P1",
        title: "engine CPU per event, exactly once with the journal",
        needs: &[Need::Kafka],
        measure: cost::engine,
    },
    Row {
        name: "P2",
        title: "like a stream processor: JSON in, HTTP call, JSON out, at least once",
        needs: &[Need::Kafka],
        measure: cost::plain,
    },
    Row {
        name: "P3",
        title: "added latency",
        needs: &[Need::Kafka],
        measure: delay::added_latency,
    },
    Row {
        name: "P4",
        title: "10,000 calls of a second in flight",
        needs: &[Need::Kafka],
        measure: flight::wide,
    },
    Row {
        name: "P5",
        title: "10,000 records of 2.5 ms of work, one partition, 1,000 keys, 100 in flight",
        needs: &[Need::Kafka],
        measure: flight::keys,
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
        needs: &[Need::Kafka],
        measure: cost::promise,
    },
    Row {
        name: "P8",
        title: "from kill -9 to the next commit",
        needs: &[Need::Kafka],
        measure: starts::killed,
    },
    Row { name: "P11", title: "start and check", needs: &[], measure: starts::ready },
    Row { name: "M1", title: "questions to the local memory", needs: &[], measure: memory::asked },
];
