//! What was measured, where and when: a figure means nothing without it.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use vivremotion::base::clock::{now_ms, rfc3339};

/// What [`pace`] sorts.
const NUMBERS: u64 = 1_000_000;

/// See the module. What the system does not say is left out.
pub struct Machine {
    date: String,
    cores: usize,
    cpu: Option<String>,
    memory_gib: Option<f64>,
    binary: u64,
    stripped: Option<u64>,
}

impl Machine {
    /// This one, now; `scratch` is a folder for files.
    pub fn here(scratch: &Path) -> Machine {
        let binary = Path::new(env!("CARGO_BIN_EXE_vivremotion"));
        Machine {
            date: rfc3339(now_ms()).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: field("/proc/cpuinfo", "model name"),
            memory_gib: field("/proc/meminfo", "MemTotal").and_then(|text| {
                text.trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib / f64::from(1 << 20))
            }),
            binary: std::fs::metadata(binary).map_or(0, |file| file.len()),
            stripped: stripped(binary, &scratch.join("stripped")),
        }
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let cpu = self.cpu.as_deref().unwrap_or("cores of a kind that the system does not tell");
        let memory = self.memory_gib.map_or(String::new(), |gib| format!(", {gib:.1} GiB"));
        let stripped =
            self.stripped.map_or(String::new(), |bytes| format!(", {bytes} when stripped"));
        format!(
            "Measured on {}, on {} × {cpu}{memory}, which broker, load and models share. The {} has {} \
             bytes{stripped}. Events are Avro of 1 KB where a line does not say otherwise.\n\n\
             To repeat it: `tests/bench/run all --report tests/bench/report`.\n",
            self.date,
            self.cores,
            build(),
            self.binary
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "date": self.date,
            "cores": self.cores,
            "cpu": self.cpu,
            "memory_gib": self.memory_gib,
            "build": build(),
            "binary_bytes": self.binary,
            "stripped_bytes": self.stripped,
        })
    }
}

/// Milliseconds of one core for the same piece of work, three times: a million numbers sorted. Two runs, or two machines,
/// compare by it: what costs CPU takes as much longer as this does.
pub fn pace() -> [f64; 3] {
    [(); 3].map(|()| {
        // The multiplier of Steele and Vigna's 64-bit congruential generator (<https://arxiv.org/abs/2001.05304>).
        let scattered = |n: u64| n.wrapping_mul(0xd134_2543_de82_ef95);
        let mut numbers: Vec<u64> = (0..NUMBERS).map(scattered).collect();
        let began = Instant::now();
        black_box(&mut numbers).sort_unstable();
        began.elapsed().as_secs_f64() * 1e3
    })
}

fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "debug build, whose figures mean nothing,"
    } else {
        "release build"
    }
}

/// What stands behind the first such name.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

/// Bytes that `strip` leaves; none where there is no such program.
fn stripped(binary: &Path, copy: &Path) -> Option<u64> {
    let done = Command::new("strip").arg("-o").arg(copy).arg(binary).output().ok()?;
    let bytes = done.status.success().then(|| std::fs::metadata(copy).ok()).flatten()?.len();
    std::fs::remove_file(copy).ok()?;
    Some(bytes)
}
