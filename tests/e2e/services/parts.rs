//! Where the parts of services come from: built once under the target directory, named by the digest of what they are
//! built from, so that a change of one line there builds anew and nothing else does. Several runs may come here at the
//! same time: one builds, the others wait for it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::wait::until;

const COMPLETE: &str = ".complete";
const LONGEST_STEP: Duration = Duration::from_secs(600);

/// How a part is made.
pub struct Recipe {
    /// Its name, one word.
    pub name: &'static str,
    /// The files under `tests/services` that it is made from.
    pub inputs: &'static [&'static str],
    /// Programs it needs.
    pub tools: &'static [&'static str],
    /// Makes it in an empty directory.
    pub make: fn(&Path) -> Result<(), String>,
}

impl Recipe {
    /// The directory of the finished part.
    pub fn obtain(&self) -> Result<PathBuf, String> {
        for tool in self.tools {
            if !on_path(tool) {
                return Err(format!("`{tool}` was not found on this machine"));
            }
        }
        let parts = home();
        fs::create_dir_all(&parts).map_err(|e| e.to_string())?;
        let lock = File::create(parts.join(format!("{}.lock", self.name)));
        let lock = lock.and_then(|file| file.lock().map(|()| file)).map_err(|e| e.to_string())?;
        let dir = parts.join(format!("{}-{}", self.name, self.digest()?));
        if !dir.join(COMPLETE).exists() {
            let fresh = match dir.exists() {
                true => fs::remove_dir_all(&dir).and_then(|()| fs::create_dir(&dir)),
                false => fs::create_dir(&dir),
            };
            fresh.map_err(|e| e.to_string())?;
            let begun = Instant::now();
            (self.make)(&dir)?;
            eprintln!("{} obtained in {:.1?}", self.name, begun.elapsed());
            File::create(dir.join(COMPLETE)).map_err(|e| e.to_string())?;
        }
        drop(lock);
        Ok(dir)
    }

    fn digest(&self) -> Result<String, String> {
        let mut hasher = blake3::Hasher::new();
        for input in self.inputs {
            let bytes = fs::read(fixture(input)).map_err(|e| format!("{input}: {e}"))?;
            hasher.update(input.as_bytes()).update(&[0]).update(&bytes).update(&[0]);
        }
        Ok(hasher.finalize().to_hex()[..12].to_owned())
    }
}

/// Runs one step of a recipe to its end. The error ends with what it last said.
pub fn step(command: &mut Command, dir: &Path) -> Result<(), String> {
    let named = format!("`{}`", command.get_program().to_string_lossy());
    let log = dir.join("build.log");
    let file = File::create(&log).map_err(|e| e.to_string())?;
    let errors = file.try_clone().map_err(|e| e.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(|e| format!("{named} was not started: {e}"))?;
    let ended = until(LONGEST_STEP, || match child.try_wait() {
        Ok(Some(status)) => Ok(Ok(status)),
        Ok(None) => Err(format!("{named} did not end")),
        Err(error) => Ok(Err(error.to_string())),
    });
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(5).collect();
            Err(format!("{named} ended with {status}: {}", last.join(" ← ")))
        }
        Ok(Err(reason)) => Err(reason),
        Err(reason) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(reason)
        }
    }
}

/// Brings the jars that a project of Maven's under `tests/services` lists.
pub fn jars(project: &str, dir: &Path) -> Result<(), String> {
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--file"]).arg(fixture(project));
    maven.arg("dependency:copy-dependencies");
    maven.arg(format!("-DoutputDirectory={}", dir.display()));
    step(&mut maven, dir)
}

/// A file under `tests/services`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services").join(name)
}

fn home() -> PathBuf {
    // The directory for tests' files lies in the target directory, wherever that is.
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("services")
}

fn on_path(tool: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(tool).is_file()))
}

/// The directory of this run. What runs that were killed left behind is removed with the next one.
pub struct RunDir {
    path: PathBuf,
    // Held for as long as the run lasts: a directory whose lock is free belongs to nobody.
    _lock: File,
}

impl RunDir {
    /// A directory of our own.
    pub fn new() -> RunDir {
        let runs = home().join("runs");
        fs::create_dir_all(&runs).expect("the target directory can be written");
        // One run at a time looks through the others: a fresh directory is never seen without its lock.
        let gate =
            File::create(home().join("runs.lock")).expect("the target directory can be written");
        gate.lock().expect("a file can be locked");
        for entry in fs::read_dir(&runs).into_iter().flatten().flatten() {
            let abandoned =
                File::open(entry.path().join("lock")).is_ok_and(|f| f.try_lock().is_ok());
            if abandoned {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = runs.join(std::process::id().to_string());
        fs::create_dir_all(&path).expect("the target directory can be written");
        let lock = File::create(path.join("lock")).expect("the target directory can be written");
        lock.lock().expect("a file can be locked");
        RunDir { path, _lock: lock }
    }

    /// An empty directory in it; `name` is made unique.
    pub fn dir(&self, name: &str) -> PathBuf {
        let free = (0..).map(|n| self.path.join(format!("{name}-{n}")));
        // `create_dir` fails for one that exists, so that no two callers get the same.
        free.into_iter().find(|path| fs::create_dir(path).is_ok()).expect("a free name")
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
