//! Confluent's Parallel Consumer, which runs records of one partition side by side in the order of their keys: a process
//! of its own around the library that Maven brings.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::services::Kept;

/// The longest step of the build.
const BUILD: Duration = Duration::from_secs(300);
/// The longest run.
const RUN: Duration = Duration::from_secs(180);
/// Stands in a directory that is whole.
const COMPLETE: &str = ".complete";
/// What it is made from.
const INPUTS: [&str; 2] = ["pom.xml", "Rounds.java"];

/// The library and the program around it.
pub struct Parallel {
    dir: PathBuf,
}

/// What one round said.
pub struct Round {
    /// From the first record handed over to the end of the last one's work.
    pub seconds: f64,
    /// Milliseconds of one record's work, on average.
    pub work_ms: f64,
}

impl Parallel {
    /// As reports call it; the version is that of `pom.xml`.
    pub const NAME: &str = "Confluent Parallel Consumer 0.5.3.3";

    /// Builds it once under the target directory; anew when what it is made from changes.
    pub fn obtain() -> Result<Parallel, String> {
        let mut hasher = blake3::Hasher::new();
        for input in INPUTS {
            hasher.update(&fs::read(source(input)).map_err(|error| format!("{input}: {error}"))?);
        }
        let digest = &hasher.finalize().to_hex()[..12];
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("services");
        let dir = home.join(format!("parallel-consumer-{digest}"));
        fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
        // Two runs may come here at the same time: one builds, the other waits.
        let lock = File::create(dir.join("lock")).map_err(|error| error.to_string())?;
        lock.lock().map_err(|error| error.to_string())?;
        if !dir.join(COMPLETE).exists() {
            let mut maven = Command::new("mvn");
            maven.args(["--batch-mode", "--quiet", "--file"]).arg(source("pom.xml"));
            maven.arg("dependency:copy-dependencies");
            maven.arg(format!("-DoutputDirectory={}", dir.display()));
            end(&maven, &dir.join("maven"), BUILD)?;
            let mut javac = Command::new("javac");
            javac.arg("-cp").arg(dir.join("*")).arg("-d").arg(&dir).arg(source("Rounds.java"));
            end(&javac, &dir.join("javac"), BUILD)?;
            File::create(dir.join(COMPLETE)).map_err(|error| error.to_string())?;
        }
        Ok(Parallel { dir })
    }

    /// Lets it do all records of a topic, so many at a time, in rounds of one process.
    pub fn run(
        &self,
        log: &Path,
        brokers: &str,
        topic: &str,
        records: usize,
        flight: usize,
        rounds: usize,
    ) -> Result<Vec<Round>, String> {
        let mut java = Command::new("java");
        java.arg("-cp").arg(format!("{0}:{0}/*", self.dir.display())).arg("Rounds");
        java.args([brokers, topic]).args([records, flight, rounds].map(|n| n.to_string()));
        let said = end(&java, &log.join("parallel-consumer"), RUN)?;
        let round = |line: &str| {
            let (seconds, work) = line.strip_prefix("round ")?.split_once(' ')?;
            Some(Round { seconds: seconds.parse().ok()?, work_ms: work.parse().ok()? })
        };
        let found: Vec<Round> = said.lines().filter_map(round).collect();
        match found.len() == rounds {
            true => Ok(found),
            false => Err(format!("it said nothing of {rounds} rounds: {said}")),
        }
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/parallel-consumer").join(name)
}

/// Runs a program to its end, and gives what it said on standard output.
fn end(command: &Command, log: &Path, within: Duration) -> Result<String, String> {
    let mut running = Kept::start(command, log)?;
    let status = running.wait(within)?;
    match status.success() {
        true => Ok(running.out()),
        false => {
            let named = command.get_program().to_string_lossy();
            Err(format!("`{named}` ended with {status}: {}", running.last_words()))
        }
    }
}
