//! What the services have in common: a process on a port, up when it answers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::keep::Kept;
use super::wait::until;
use super::{Missing, ports};

const START: Duration = Duration::from_secs(60);
const ATTEMPTS: usize = 3;

/// A server process: up, or down until it is started again on the same port.
pub struct Server {
    name: &'static str,
    port: u16,
    log: PathBuf,
    running: Mutex<Option<Kept>>,
}

impl Server {
    /// Not started yet; `dir` will hold what it says.
    pub fn new(name: &'static str, dir: &Path) -> Server {
        Server { name, port: ports::free(), log: dir.join(name), running: Mutex::default() }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs the command and waits until `answers` says that it serves.
    pub fn up(
        &self,
        command: &Command,
        mut answers: impl FnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        let begun = Instant::now();
        let mut kept = Kept::start(command, &self.log)?;
        let served = until(START, || match kept.ended() {
            Some(status) => Ok(Err(format!("it ended with {status}"))),
            None => answers().map(Ok),
        });
        served.and_then(|inner| inner).map_err(|reason| {
            format!("{} did not start: {reason}\n{}", self.name, kept.last_words())
        })?;
        *self.running() = Some(kept);
        eprintln!("{} up on port {} in {:.1?}", self.name, self.port, begun.elapsed());
        Ok(())
    }

    /// Kills it with no chance to tidy up: from now on connections are refused.
    pub fn kill(&self) {
        if let Some(mut kept) = self.running().take() {
            kept.kill();
        }
    }

    /// Sends a signal: `STOP` makes a server that does not answer, `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        if let Some(kept) = self.running().as_mut() {
            kept.signal(name);
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Kept>> {
        self.running.lock().expect("nobody panics while holding it")
    }
}

/// Starts a fresh server. A port that somebody took in between is the one failure that another try mends.
pub fn fresh<T>(mut start: impl FnMut() -> Result<T, String>) -> Result<T, Missing> {
    let mut outcome = start();
    for _ in 1..ATTEMPTS {
        if outcome.is_ok() {
            break;
        }
        outcome = start();
    }
    outcome.map_err(Missing::Start)
}
