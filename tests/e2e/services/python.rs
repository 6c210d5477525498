//! A Python of its own, as an application beside the gateway would have it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Missing;
use super::parts::{Recipe, fixture, step};

const PART: Recipe = Recipe {
    name: "python",
    inputs: &["python/requirements.txt"],
    tools: &["python3"],
    make: |dir| make_venv(dir, "python/requirements.txt", &[]),
};

/// A virtual environment with `confluent-kafka`.
pub struct Python {
    venv: PathBuf,
}

impl Python {
    /// The environment, made when it is not there.
    pub fn obtain() -> Result<Python, Missing> {
        PART.obtain().map(|venv| Python { venv }).map_err(Missing::Part)
    }

    /// Its interpreter.
    pub fn command(&self) -> Command {
        let mut command = Command::new(interpreter(&self.venv));
        command.arg("-B");
        command
    }

    /// A command that runs a script of `tests/services/python` in it.
    pub fn script(&self, name: &str) -> Command {
        let mut command = self.command();
        command.arg(fixture("python").join(name));
        command
    }
}

/// The interpreter of an environment.
pub fn interpreter(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// Makes an environment and installs a list of pinned packages.
pub fn make_venv(dir: &Path, requirements: &str, options: &[&str]) -> Result<(), String> {
    step(Command::new("python3").args(["-m", "venv"]).arg(dir), dir)?;
    let mut pip = Command::new(interpreter(dir));
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--only-binary", ":all:"]);
    step(pip.args(options).arg("-r").arg(fixture(requirements)), dir)
}
