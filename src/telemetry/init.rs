//! Logs and the metrics recorder, once per process.

use std::io::IsTerminal;

use metrics::Unit;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use super::names::{Kind, METRICS};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Log lines go to standard error. `filter` is `warn`, `info`, `vivremotion=debug,…`. The second call of a process
/// changes nothing.
pub fn logs(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| format!("`{filter}` is not a log filter: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    // A subscriber that is set already (by a test, or by an embedding program) stays.
    match format {
        LogFormat::Text => drop(builder.try_init()),
        LogFormat::Json => drop(builder.json().try_init()),
    }
    Ok(())
}

/// Bounds of every histogram, seconds: 100 µs to 80 s.
const BUCKETS: &[f64] = &[
    0.0001, 0.0003, 0.001, 0.003, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12,
    10.24, 20.48, 40.96, 81.92,
];

/// Installs the recorder; the handle renders the Prometheus page. An error when the process has one already.
pub fn metrics() -> Result<PrometheusHandle, String> {
    let builder = PrometheusBuilder::new().set_buckets(BUCKETS).map_err(|e| e.to_string())?;
    let handle = builder.install_recorder().map_err(|e| e.to_string())?;
    for (name, kind, unit, description) in METRICS {
        let unit = if *unit == "s" { Unit::Seconds } else { Unit::Count };
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, unit, *description),
            Kind::Gauge => metrics::describe_gauge!(*name, unit, *description),
            Kind::Histogram => metrics::describe_histogram!(*name, unit, *description),
        }
    }
    Ok(handle)
}
