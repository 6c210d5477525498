//! The schema registry: a small Go program around a public in-memory registry. It forgets everything when it ends.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Missing;
use super::parts::{Recipe, fixture, step};
use super::server::{Server, fresh};
use super::wait::http_get;

const PART: Recipe = Recipe {
    name: "registry",
    inputs: &["registry/go.mod", "registry/go.sum", "registry/main.go", "registry/compat.go"],
    tools: &["go"],
    make: |dir| {
        let mut go = Command::new("go");
        go.arg("build").arg("-o").arg(dir.join("registry")).arg(".");
        step(go.current_dir(fixture("registry")), dir)
    },
};

/// A registry.
pub struct Registry {
    program: PathBuf,
    server: Server,
}

impl Registry {
    /// The program, obtained when not there.
    pub fn obtain() -> Result<PathBuf, Missing> {
        PART.obtain().map(|dir| dir.join("registry")).map_err(Missing::Part)
    }

    /// A fresh registry; what it says is kept in `dir`.
    pub fn start(dir: &Path) -> Result<Registry, Missing> {
        let program = Self::obtain()?;
        fresh(|| {
            let registry =
                Registry { program: program.clone(), server: Server::new("registry", dir) };
            registry.up().map(|()| registry)
        })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// Ends it: from now on connections are refused.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again at the same address, empty.
    pub fn restart(&self) {
        self.kill();
        self.up().expect("a registry that started once starts again");
    }

    fn up(&self) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        command.arg("-listen").arg(format!("127.0.0.1:{}", self.server.port()));
        self.server.up(&command, || match http_get(self.server.port(), "/subjects")? {
            (200, _) => Ok(()),
            (status, _) => Err(format!("it answers {status}")),
        })
    }
}
