//! Observation: names, metrics, logs, traces, probes.
