//! Confluent's Parallel Consumer, which runs records of one partition side by side in the order of their keys: a process
//! of its own around the library that Maven brings.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::services::Kept;
use crate::services::parts::{Recipe, fixture, jars, step};

/// The longest run.
const RUN: Duration = Duration::from_secs(180);

const PART: Recipe = Recipe {
    name: "parallel-consumer",
    inputs: &["parallel-consumer/pom.xml", "parallel-consumer/Rounds.java"],
    tools: &["java", "javac", "mvn"],
    make: |dir| {
        jars("parallel-consumer/pom.xml", dir)?;
        let mut javac = Command::new("javac");
        javac.arg("-cp").arg(dir.join("*")).arg("-d").arg(dir);
        step(javac.arg(fixture("parallel-consumer/Rounds.java")), dir)
    },
};

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

    /// Obtained when not there.
    pub fn obtain() -> Result<Parallel, String> {
        PART.obtain().map(|dir| Parallel { dir })
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
        let mut running = Kept::start(&java, &log.join("parallel-consumer"))?;
        let status = running.wait(RUN)?;
        if !status.success() {
            return Err(format!("it ended with {status}: {}", running.last_words()));
        }
        let said = running.out();
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
