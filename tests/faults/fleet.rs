//! Instances of the engine as processes, and who of them died when.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use crate::checker::Death;
use crate::job::SECRETS;
use crate::services::{Kept, free_port, http_get, until};
use crate::time;

const START: Duration = Duration::from_secs(60);

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Copies the program into a directory of the run: another build must not replace it while rows are played.
pub fn take_program(from: Option<&Path>, dir: &Path) {
    let copy = dir.join("vivremotion");
    let from = from.unwrap_or(Path::new(env!("CARGO_BIN_EXE_vivremotion")));
    std::fs::copy(from, &copy).unwrap();
    PROGRAM.get_or_init(|| copy);
}

/// The product with a clean environment.
pub fn product(dir: &Path) -> Command {
    let mut command = Command::new(PROGRAM.get().unwrap());
    command.env_clear().env("NO_COLOR", "1").env("MOCK_KEY", SECRETS[0]).current_dir(dir);
    command
}

/// The instances of one job.
pub struct Fleet {
    dir: PathBuf,
    pipeline: PathBuf,
    slots: Vec<Slot>,
    /// Armed in whoever is started with nothing else armed.
    always: Option<String>,
    /// Who died when.
    pub deaths: Vec<Death>,
    /// What ended by itself, with its last words.
    pub ended: Vec<String>,
}

struct Slot {
    kept: Option<Kept>,
    port: u16,
    settings: PathBuf,
    starts: usize,
    /// Armed: it is expected to end by itself.
    doomed: bool,
    /// Whose name it has in the ledger.
    name: usize,
}

impl Fleet {
    /// None yet; the pipeline is what each will run.
    pub fn new(dir: &Path, pipeline: &Path) -> Fleet {
        Fleet {
            dir: dir.to_owned(),
            pipeline: pipeline.to_owned(),
            slots: Vec::new(),
            always: None,
            deaths: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Adds an instance that is not started yet. `settings` is YAML without `server` and `state`.
    pub fn add(&mut self, settings: &str) -> usize {
        let (index, port) = (self.slots.len(), free_port());
        let file = self.dir.join(format!("engine-{index}.yaml"));
        let state = self.dir.join("state");
        let own =
            format!("state: {}\nserver: {{ listen: \"127.0.0.1:{port}\" }}\n", state.display());
        std::fs::write(&file, format!("{settings}\n{own}")).unwrap();
        self.slots.push(Slot {
            kept: None,
            port,
            settings: file,
            starts: 0,
            doomed: false,
            name: index,
        });
        index
    }

    /// From now on every start has these failpoints armed, and is expected to end by them.
    pub fn arm_always(&mut self, failpoints: &str) {
        self.always = Some(failpoints.to_owned());
    }

    /// It runs under the name of another.
    pub fn alias(&mut self, index: usize, name: usize) {
        self.slots[index].name = name;
    }

    /// What it is called in the ledger.
    pub fn name(&self, index: usize) -> usize {
        self.slots[index].name
    }

    /// How many there are, running or not.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Starts one; `failpoints` is what to arm.
    pub fn start(&mut self, index: usize, failpoints: Option<&str>) {
        let (dir, pipeline) = (self.dir.clone(), self.pipeline.clone());
        let failpoints = failpoints.map(str::to_owned).or_else(|| self.always.clone());
        let slot = &mut self.slots[index];
        let mut command = product(&dir);
        command.args(["run", "--log", "info", "--settings"]).arg(&slot.settings).arg(pipeline);
        if let Some(failpoints) = &failpoints {
            command.env("VIVREMOTION_FAILPOINTS", failpoints);
        }
        slot.starts += 1;
        slot.doomed = failpoints.is_some();
        let log = dir.join(format!("engine-{index}-{}", slot.starts));
        slot.kept = Some(Kept::start(&command, &log).unwrap());
    }

    /// Starts all that are not running, and waits until they are ready.
    pub fn start_all(&mut self) {
        for index in 0..self.slots.len() {
            if self.slots[index].kept.is_none() {
                self.start(index, None);
            }
        }
        (0..self.slots.len()).for_each(|index| self.ready(index));
    }

    /// Waits until it says that it is ready; ends the row if it ends instead.
    pub fn ready(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let Some(kept) = slot.kept.as_mut() else { return };
        let port = slot.port;
        let ready = until(START, || match kept.ended() {
            Some(status) => Ok(Err(format!("instance {index} ended with {status}"))),
            None => match http_get(port, "/ready")? {
                (200, _) => Ok(Ok(())),
                (status, reasons) => Err(format!("/ready answers {status}: {reasons}")),
            },
        });
        if let Err(reason) = ready.and_then(|inner| inner) {
            panic!("{reason}\n{}", kept.last_words());
        }
    }

    /// Whether it runs.
    pub fn runs(&mut self, index: usize) -> bool {
        self.slots[index].kept.as_mut().is_some_and(|kept| kept.ended().is_none())
    }

    /// Kills it with no chance to tidy up.
    pub fn kill(&mut self, index: usize) {
        if let Some(mut kept) = self.slots[index].kept.take() {
            let at = time::now();
            kept.kill();
            let instance = self.slots[index].name;
            self.deaths.push(Death { instance, at });
        }
    }

    /// Kills all at the same time.
    pub fn kill_all(&mut self) {
        let at = time::now();
        (0..self.slots.len()).for_each(|index| self.signal(index, "KILL"));
        for slot in &mut self.slots {
            if let Some(mut kept) = slot.kept.take() {
                kept.wait(Duration::from_secs(10)).unwrap();
                self.deaths.push(Death { instance: slot.name, at });
            }
        }
    }

    /// Sends a signal.
    pub fn signal(&mut self, index: usize, name: &str) {
        if let Some(kept) = self.slots[index].kept.as_mut() {
            kept.signal(name);
        }
    }

    /// Waits for an end that it finds by itself; how it ended and what it said last.
    pub fn end(&mut self, index: usize, within: Duration) -> Result<(ExitStatus, String), String> {
        let mut kept = self.slots[index].kept.take().ok_or("it does not run")?;
        match kept.wait(within) {
            Ok(status) => {
                let instance = self.slots[index].name;
                self.deaths.push(Death { instance, at: time::now() });
                Ok((status, kept.last_words()))
            }
            Err(reason) => {
                self.slots[index].kept = Some(kept);
                Err(reason)
            }
        }
    }

    /// Asks one to drain and waits for its end.
    pub fn drain(&mut self, index: usize, within: Duration) -> Result<(), String> {
        let Some(mut kept) = self.slots[index].kept.take() else { return Ok(()) };
        kept.signal("TERM");
        let ended = kept.wait(within);
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("instance {index} drained and ended with {status}")),
            Err(reason) => {
                kept.kill();
                Err(format!("instance {index} did not drain: {reason}"))
            }
        }
    }

    /// Starts again what ended by itself, as whoever runs it would, and takes down who did.
    pub fn look(&mut self) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            let Some(kept) = slot.kept.as_mut() else { continue };
            let Some(status) = kept.ended() else { continue };
            if !slot.doomed {
                let words = kept.last_words();
                let last = words.lines().last().unwrap_or_default().to_owned();
                self.ended.push(format!("instance {index} ended with {status}: {last}"));
            }
            let instance = slot.name;
            self.deaths.push(Death { instance, at: time::now() });
            self.start(index, None);
        }
    }

    /// Everything that all starts of all instances have said on standard error.
    pub fn said(&self) -> String {
        let files = std::fs::read_dir(&self.dir).unwrap().filter_map(Result::ok);
        let logs = files.map(|file| file.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("engine-") && name.ends_with(".err")
        });
        logs.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    }

    /// The pages of metrics of those that answer.
    pub fn pages(&self) -> String {
        let pages = self.slots.iter().filter(|slot| slot.kept.is_some());
        pages.filter_map(|slot| Some(http_get(slot.port, "/metrics").ok()?.1)).collect()
    }

    /// A quantile of a histogram that all instances tell, within its bucket by straight line; none while nothing was counted.
    pub fn quantile(&self, metric: &str, share: f64) -> Option<f64> {
        let mut counts: Vec<(f64, f64)> = Vec::new();
        let pages = self.pages();
        for line in pages.lines().filter(|line| line.starts_with(&format!("{metric}_bucket"))) {
            let bound = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
            let bound = bound.and_then(|bound| bound.replace("+Inf", "inf").parse().ok())?;
            let count: f64 = line.rsplit(' ').next().and_then(|count| count.parse().ok())?;
            match counts.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, sum)) => *sum += count,
                None => counts.push((bound, count)),
            }
        }
        counts.sort_by(|one, other| one.0.total_cmp(&other.0));
        let wanted = share * counts.last().map(|(_, all)| *all).filter(|all| *all > 0.0)?;
        let at = counts.iter().position(|(_, below)| *below >= wanted)?;
        let (low, before) = at.checked_sub(1).map_or((0.0, 0.0), |before| counts[before]);
        let (high, below) = counts[at];
        Some(if high.is_finite() {
            low + (high - low) * (wanted - before) / (below - before)
        } else {
            high
        })
    }

    /// Resident memory of those that run, in MiB: the most each ever had.
    pub fn peaks(&self) -> Vec<f64> {
        let pids = self.slots.iter().filter_map(|slot| slot.kept.as_ref()).map(Kept::pid);
        pids.filter_map(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib / 1024.0)
        })
        .collect()
    }
}
