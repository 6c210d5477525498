//! Observation: names, metrics, logs, probes. Parts do not observe themselves; wrappers do, with handles from here.

use metrics::{Counter, Gauge, Histogram, Label};

pub mod init;
pub mod names;
pub mod serve;

fn labels(pairs: &[(&'static str, &str)]) -> Vec<Label> {
    pairs.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}

/// A counter of that name and those labels. Looking one up costs a microsecond: keep it.
pub fn counter(name: &'static str, pairs: &[(&'static str, &str)]) -> Counter {
    metrics::counter!(name, labels(pairs))
}

/// A gauge.
pub fn gauge(name: &'static str, pairs: &[(&'static str, &str)]) -> Gauge {
    metrics::gauge!(name, labels(pairs))
}

/// A histogram.
pub fn histogram(name: &'static str, pairs: &[(&'static str, &str)]) -> Histogram {
    metrics::histogram!(name, labels(pairs))
}
