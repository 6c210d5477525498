//! The processes of one measurement: the mock models, and the engine that asks them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use vivremotion::app::bench::process;

use crate::services::{Kept, free_port, http_get, until};

const START: Duration = Duration::from_secs(60);

/// A process of the product that answers HTTP.
pub struct Served {
    kept: Kept,
    port: u16,
}

impl Served {
    /// Mock models that answer at once.
    pub fn mock_models(dir: &Path) -> Served {
        let port = free_port();
        let mut command = product(dir);
        command.args(["mock-models", "--keep", "0", "--listen", &format!("127.0.0.1:{port}")]);
        Served::start(&command, port, dir, "mock-models", "/")
    }

    /// An engine with these settings, which say that it listens at `port`, and the pipelines of a file or a folder.
    pub fn engine(dir: &Path, port: u16, settings: &Path, pipelines: &Path) -> Served {
        let mut command = product(dir);
        command.arg("run").arg("--settings").arg(settings).arg(pipelines);
        Served::start(&command, port, dir, "engine", "/ready")
    }

    fn start(command: &Command, port: u16, dir: &Path, name: &str, probe: &str) -> Served {
        let mut kept = Kept::start(command, &dir.join(name)).unwrap();
        let ready = until(START, || match (kept.ended(), http_get(port, probe)) {
            (Some(status), _) => Ok(Err(format!("{name} ended with {status}"))),
            (None, Ok((200, _))) => Ok(Ok(())),
            (None, Ok((status, body))) => Err(format!("{name} answers {status}: {body}")),
            (None, Err(error)) => Err(error),
        });
        if let Err(reason) = ready.and_then(|inner| inner) {
            panic!("{reason}\n{}", kept.last_words());
        }
        Served { kept, port }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Duration {
        process::cpu(self.kept.pid()).unwrap()
    }

    /// Resident memory now and at most, in MiB.
    pub fn memory(&self) -> (f64, f64) {
        process::memory(self.kept.pid()).unwrap()
    }

    /// Open files, sockets among them.
    pub fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.kept.pid())).unwrap().count()
    }

    /// Its threads.
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.kept.pid())).unwrap().count()
    }

    /// The last of what it said.
    pub fn last_words(&self) -> String {
        self.kept.last_words()
    }
}

/// The product with a clean environment.
pub fn product(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vivremotion"));
    command.env_clear().env("NO_COLOR", "1").current_dir(dir);
    command
}
