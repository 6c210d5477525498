//! Processes that end with us. A command runs under `keep.sh`, which kills it when our end of a pipe closes: at the
//! latest when this process is gone, however it went.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::parts::fixture;
use super::wait::until;

/// A running command.
pub struct Kept {
    keeper: Child,
    pid: u32,
    log: PathBuf,
}

impl Kept {
    /// Starts a command; what it prints goes to `<log>.out` and `<log>.err`.
    pub fn start(command: &Command, log: &Path) -> Result<Kept, String> {
        let named = command.get_program().to_string_lossy().into_owned();
        let failed = |error: std::io::Error| format!("`{named}` was not started: {error}");
        let mut keeper = keep_command(command, log);
        let mut keeper =
            keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        }
        let pid = line.trim().parse().map_err(|_| format!("`{named}` was not started"))?;
        Ok(Kept { keeper, pid, log: log.to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal, by its short name: `TERM`, `KILL`, `STOP`, `CONT`. Nothing happens when it has ended.
    pub fn signal(&mut self, name: &str) {
        if self.ended().is_none() {
            let kill =
                Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
            assert!(kill.is_ok(), "`kill` was not found");
        }
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.keeper.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus, String> {
        until(within, || self.ended().ok_or_else(|| format!("process {} still runs", self.pid)))
    }

    /// Kills it with no chance to tidy up, and returns when it is gone.
    pub fn kill(&mut self) {
        self.signal("KILL");
        if let Err(reason) = self.wait(Duration::from_secs(10)) {
            panic!("{reason}");
        }
    }

    /// What it has printed.
    pub fn out(&self) -> String {
        read(&self.log.with_extension("out"))
    }

    /// What it has said on standard error.
    pub fn err(&self) -> String {
        read(&self.log.with_extension("err"))
    }

    /// The last of what it has said on either, for a failure's text.
    pub fn last_words(&self) -> String {
        let said = format!("{}{}", self.out(), self.err());
        let lines: Vec<&str> = said.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// The command that keeps another; whoever holds the other end of its standard input decides how long.
pub fn keep_command(command: &Command, log: &Path) -> Command {
    let mut keeper = Command::new("sh");
    keeper.arg(fixture("keep.sh")).arg(log.with_extension("out")).arg(log.with_extension("err"));
    keeper.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => keeper.env(name, value),
            None => keeper.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        keeper.current_dir(dir);
    }
    keeper
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Closing the pipe is enough; waiting makes sure that its port and files are free.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn read(path: &Path) -> String {
    std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}
