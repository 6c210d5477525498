//! What was measured, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `kafka` or `local`.
    pub log: String,
    /// Events a second that were asked for; none when as many as were answered.
    pub rate: Option<f64>,
    /// How long it was measured.
    pub seconds: f64,
    /// Events that were due in that time.
    pub sent: usize,
    /// Those of them whose result came.
    pub answered: usize,
    /// Results a second.
    pub per_second: f64,
    /// From the moment an event was due until its result was readable, in milliseconds; none when none was.
    pub latency_ms: Option<Latency>,
    /// User and system time of the engine for each event, in microseconds; none where the system does not say it.
    pub cpu_us: Option<f64>,
    /// Resident memory of the engine at the end.
    pub memory_mib: Option<f64>,
    /// The most it was.
    pub memory_most_mib: Option<f64>,
    /// How much more at the end than at the beginning.
    pub memory_grown_mib: Option<f64>,
    /// Commits a second.
    pub commits_per_second: f64,
    /// Where the time went: means, in milliseconds, as the engine says.
    pub doors_ms: Vec<(&'static str, f64)>,
    /// Bytes of keys, values and headers for each event, by topic.
    pub bytes: BTreeMap<String, f64>,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half of the events were faster.
    pub p50: u64,
    /// All but one in ten.
    pub p90: u64,
    /// All but one in a hundred.
    pub p99: u64,
    /// All but one in a thousand.
    pub p999: u64,
    /// The slowest.
    pub most: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { log, seconds, sent, answered, per_second, .. } = self;
        writeln!(
            f,
            "{answered} of {sent} events in {seconds:.0} s on the {log} log: {per_second:.0} a second"
        )?;
        if let Some(Latency { p50, p90, p99, p999, most }) = self.latency_ms {
            writeln!(
                f,
                "latency      p50 {p50} ms, p90 {p90}, p99 {p99}, p99.9 {p999}, most {most}"
            )?;
        }
        if let Some(cpu) = self.cpu_us {
            writeln!(f, "engine CPU   {cpu:.1} µs an event")?;
        }
        if let (Some(now), Some(most), Some(grown)) =
            (self.memory_mib, self.memory_most_mib, self.memory_grown_mib)
        {
            writeln!(f, "memory       {now:.0} MiB, at most {most:.0}, {grown:+.0} meanwhile")?;
        }
        writeln!(f, "commits      {:.1} a second", self.commits_per_second)?;
        writeln!(f, "where the time went, means")?;
        for (door, millis) in &self.doors_ms {
            writeln!(f, "  {door:24} {millis:9.2} ms")?;
        }
        write!(f, "bytes an event, by topic")?;
        for (topic, bytes) in &self.bytes {
            write!(f, "\n  {topic:40} {bytes:9.0}")?;
        }
        if sent > answered {
            write!(
                f,
                "\n{} have no result: they were filtered out, or it fell behind",
                sent - answered
            )?;
        }
        Ok(())
    }
}
