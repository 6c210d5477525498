//! The product's own binary as a process: an engine that runs pipelines, the mock models, and commands that end.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use serde_json::Value;

use crate::services::{Kept, free_port, http_get, until};
use crate::story::World;

const START: Duration = Duration::from_secs(60);

impl World {
    /// The product with a clean environment, in the story's directory.
    pub fn product(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vivremotion"));
        command.env_clear().env("NO_COLOR", "1").current_dir(self.dir());
        command
    }

    /// Runs a command of the product to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.product().args(arguments).output().unwrap()
    }

    /// Writes a file into the story's directory.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts `run` with pipelines; `settings` is YAML without `server` and `state`, which are the engine's own.
    /// Returns at once: see [`Engine::ready`].
    pub fn engine(&self, name: &str, settings: &str, pipelines: &[&Path]) -> Engine {
        // One folder for all engines of a story, as on one machine: it is what tells their instances apart.
        let (settings, port) = self.settings(name, "state", settings);
        let mut command = self.product();
        command.args(["run", "--log", "info", "--settings"]).arg(settings).args(pipelines);
        Engine { kept: self.keep(name, &command), command, port }
    }

    /// Starts `dev --once` on the shipped pipelines, with a state folder of its own.
    pub fn tour(&self, name: &str, settings: &str) -> Engine {
        let (settings, port) = self.settings(name, name, settings);
        let mut command = self.product();
        command.args(["dev", "--once", "--format", "json", "--settings"]).arg(settings);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines"));
        Engine { kept: self.keep(name, &command), command, port }
    }

    /// A settings file that ends with the engine's own keys, and the port it will listen on.
    fn settings(&self, name: &str, state: &str, settings: &str) -> (PathBuf, u16) {
        let port = free_port();
        let state = self.dir().join(state);
        let own =
            format!("state: {}\nserver: {{ listen: \"127.0.0.1:{port}\" }}\n", state.display());
        (self.write(&format!("{name}.yaml"), &format!("{settings}\n{own}")), port)
    }

    fn keep(&self, name: &str, command: &Command) -> Kept {
        Kept::start(command, &self.dir().join(name)).unwrap()
    }

    /// Starts the mock models.
    pub fn mock_models(&self, name: &str, arguments: &[&str]) -> Mock {
        self.mock_models_at(name, free_port(), arguments)
    }

    /// The same, where somebody already looks for them.
    pub fn mock_models_at(&self, name: &str, port: u16, arguments: &[&str]) -> Mock {
        let mut command = self.product();
        command.args(["mock-models", "--listen", &format!("127.0.0.1:{port}")]).args(arguments);
        let mut kept = self.keep(name, &command);
        until(START, || match kept.ended() {
            Some(status) => {
                Ok(Err(format!("mock-models ended with {status}: {}", kept.last_words())))
            }
            None => http_get(port, "/").map(|_| Ok(())),
        })
        .unwrap()
        .unwrap();
        Mock { kept, port }
    }
}

/// A running `vivremotion run`.
pub struct Engine {
    kept: Kept,
    command: Command,
    port: u16,
}

impl Engine {
    /// Waits until it says that it is ready.
    pub fn ready(&mut self) {
        let port = self.port;
        let ready = until(START, || match self.kept.ended() {
            Some(status) => Ok(Err(format!("the engine ended with {status}"))),
            None => match http_get(port, "/ready")? {
                (200, _) => Ok(Ok(())),
                (status, reasons) => Err(format!("/ready answers {status}: {reasons}")),
            },
        });
        if let Err(reason) = ready.and_then(|inner| inner) {
            panic!("{reason}\n{}", self.kept.last_words());
        }
    }

    /// One of its pages: status and body.
    pub fn get(&self, path: &str) -> Result<(u16, String), String> {
        http_get(self.port, path)
    }

    /// Kills it with no chance to tidy up.
    pub fn kill(&mut self) {
        self.kept.kill();
    }

    /// Starts it again with the same command and state.
    pub fn restart(&mut self, world: &World) {
        self.kept = world.keep("restarted", &self.command);
    }

    /// Asks it to drain and waits for its end.
    pub fn drain(&mut self, within: Duration) -> ExitStatus {
        self.kept.signal("TERM");
        self.kept
            .wait(within)
            .unwrap_or_else(|reason| panic!("{reason}\n{}", self.kept.last_words()))
    }

    /// Waits for an end that it finds by itself.
    pub fn end(&mut self, within: Duration) -> ExitStatus {
        self.kept
            .wait(within)
            .unwrap_or_else(|reason| panic!("{reason}\n{}", self.kept.last_words()))
    }

    /// What it has printed.
    pub fn out(&self) -> String {
        self.kept.out()
    }

    /// What it said, for the text of a failure.
    pub fn last_words(&self) -> String {
        self.kept.last_words()
    }
}

/// A running `vivremotion mock-models`.
pub struct Mock {
    kept: Kept,
    port: u16,
}

impl Mock {
    /// The `base_url` of a provider.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Every call it took, by its start.
    pub fn ledger(&self) -> Vec<Value> {
        let page = http_get(self.port, "/ledger").unwrap().1;
        let mut page: Value = serde_json::from_str(&page).unwrap();
        match page["entries"].take() {
            Value::Array(calls) => calls,
            other => panic!("the ledger is no list: {other}"),
        }
    }

    /// A sum of the ledger: `calls`, `open`, `most_open`, …
    pub fn sum(&self, name: &str) -> u64 {
        let sums = http_get(self.port, "/ledger/summary").unwrap().1;
        let sums: Value = serde_json::from_str(&sums).unwrap();
        sums[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {sums}"))
    }

    /// Waits until a sum is at least so much.
    pub fn reaches(&self, name: &str, least: u64, within: Duration) {
        let reached = until(within, || match self.sum(name) {
            sum if sum >= least => Ok(()),
            sum => Err(format!("`{name}` is {sum}, not {least}: {}", self.kept.last_words())),
        });
        reached.unwrap_or_else(|reason| panic!("{reason}"));
    }
}
