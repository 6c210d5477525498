//! Qdrant: its engine in a Python process, behind its gRPC interface. It keeps its data over a restart.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Missing;
use super::parts::{Recipe, fixture};
use super::python::{interpreter, make_venv};
use super::server::{Server, fresh};

const PART: Recipe = Recipe {
    name: "qdrant",
    inputs: &["qdrant/requirements.txt"],
    tools: &["python3"],
    // Without what the packages ask for: the front uses neither the client's REST side nor its numbers.
    make: |dir| make_venv(dir, "qdrant/requirements.txt", &["--no-deps"]),
};

/// A vector store.
pub struct Qdrant {
    venv: PathBuf,
    data: PathBuf,
    server: Server,
}

impl Qdrant {
    /// The environment, obtained when not there.
    pub fn obtain() -> Result<PathBuf, Missing> {
        PART.obtain().map_err(Missing::Part)
    }

    /// A fresh store with its data in `dir`.
    pub fn start(dir: &Path) -> Result<Qdrant, Missing> {
        let venv = Self::obtain()?;
        let data = dir.join("data");
        fresh(|| {
            let (venv, data) = (venv.clone(), data.clone());
            let qdrant = Qdrant { venv, data, server: Server::new("qdrant", dir) };
            qdrant.up().map(|()| qdrant)
        })
    }

    /// The URL of its gRPC interface.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// Kills it with no chance to tidy up.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again with the data it had, at the same address.
    pub fn restart(&self) {
        self.kill();
        self.up().expect("a store that started once starts again");
    }

    fn up(&self) -> Result<(), String> {
        // A thread of its own: a story that starts a store is inside a runtime already.
        std::thread::scope(|scope| match scope.spawn(|| self.serve()).join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    fn serve(&self) -> Result<(), String> {
        let mut command = Command::new(interpreter(&self.venv));
        // No compiled files beside the sources: the repository stays as it was.
        command.arg("-B").arg(fixture("qdrant/server.py"));
        command.arg("--port").arg(self.server.port().to_string()).arg("--data").arg(&self.data);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| e.to_string())?;
        let client = ::qdrant_client::Qdrant::from_url(&self.url()).skip_compatibility_check();
        let client = client.build().map_err(|e| e.to_string())?;
        self.server.up(&command, || match runtime.block_on(client.health_check()) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("it does not answer: {error}")),
        })
    }
}
