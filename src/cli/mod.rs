//! The command line: one file per verb, each with its `Args` and a `run`. A verb prints, nothing else does.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::settings::{self, Process, Settings};
use crate::telemetry::init::{LogFormat, logs};

pub mod bench;
pub mod check;
pub mod dev;
pub mod memory;
pub mod mock_models;
mod print;
pub mod replay;
pub mod run;
pub mod schemas;
pub mod send;
mod show;
mod signals;
pub mod tail;
pub mod topics;
pub mod verify;
pub mod which;

/// An AI gateway whose front door is an event log: events in, results and costs out, exactly once.
#[derive(Parser, Debug)]
#[command(name = "vivremotion", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Try it: simulated models, sample events, one file, no network
    Dev(dev::Args),
    /// Run pipelines until told to stop
    Run(run::Args),
    /// Say everything that is wrong with pipelines and settings, connecting to nothing
    Check(check::Args),
    /// Write an event to a topic
    Send(send::Args),
    /// Read a topic: results, costs, dead letters or anything else
    Tail(tail::Args),
    /// Audit what pipelines left behind: results, dead letters, order, progress, money
    Verify(verify::Args),
    /// Bring dead letters, or events of a period, back to their topic
    Replay(replay::Args),
    /// Measure what a pipeline costs and how fast it is, on its own log
    Bench(bench::Args),
    /// List the topics that are there, or make those that pipelines need
    Topics(topics::Args),
    /// List, show, check or register schemas
    Schemas(schemas::Args),
    /// Import passages into memory, list and search them
    Memory(memory::Args),
    /// Serve the OpenAI dialect with scripted behaviour and a ledger of every call
    MockModels(mock_models::Args),
}

impl Verb {
    /// Does it.
    pub fn run(self) -> Outcome {
        match self {
            Verb::Dev(args) => dev::run(args),
            Verb::Run(args) => run::run(args),
            Verb::Check(args) => check::run(&args),
            Verb::Send(args) => send::run(args),
            Verb::Tail(args) => tail::run(args),
            Verb::Verify(args) => verify::run(args),
            Verb::Replay(args) => replay::run(args),
            Verb::Bench(args) => bench::run(args),
            Verb::Topics(args) => topics::run(args),
            Verb::Schemas(args) => runtime()?.block_on(schemas::run(args)),
            Verb::Memory(args) => runtime()?.block_on(memory::run(args)),
            Verb::MockModels(args) => runtime()?.block_on(mock_models::run(args)),
        }
    }
}

/// What most verbs take.
#[derive(clap::Args, Debug, Clone)]
pub struct Common {
    /// Settings file; without it `vivremotion.yaml` is read if it is there, else everything is embedded
    #[arg(long, global = true, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Which log lines to write: `warn`, `info`, `debug`, or by part: `warn,vivremotion::stream=debug`
    #[arg(long, global = true, value_name = "FILTER", default_value = "warn")]
    pub log: String,
    /// How log lines are written
    #[arg(long, global = true, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

impl Common {
    /// Starts the log lines and reads the settings.
    pub fn open(&self) -> Result<Settings, Failure> {
        logs(&self.log, self.log_format).map_err(Failure::Usage)?;
        #[cfg(feature = "failpoints")]
        arm()?;
        open(self.settings.as_deref())
    }
}

/// Arms what `VIVREMOTION_FAILPOINTS` names.
#[cfg(feature = "failpoints")]
fn arm() -> Result<(), Failure> {
    use crate::settings::Environment;
    let here = Process::beside(Path::new(settings::DEFAULT_FILE));
    match here.variable("VIVREMOTION_FAILPOINTS") {
        Some(text) => crate::base::failpoint::arm(&text).map_err(Failure::Usage),
        None => Ok(()),
    }
}

/// The settings of a file; without one `vivremotion.yaml` is read if it is there, else everything is embedded.
fn open(named: Option<&Path>) -> Result<Settings, Failure> {
    let default = Path::new(settings::DEFAULT_FILE);
    let path = named.or(Some(default).filter(|path| path.is_file()));
    let beside = Process::beside(path.unwrap_or(default));
    settings::load(path, &beside).map_err(|wrong| print::wrong(&wrong))
}

/// A runtime for verbs that do little at a time.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(format!("can't start a runtime: {error}")))
}

/// How a verb ends when it does not end well; each has its exit code.
#[derive(Debug)]
pub enum Failure {
    /// It did not work: exit code 1.
    Runtime(String),
    /// Pipelines or settings are wrong; everything has been printed: exit code 2.
    Checked,
    /// The command line is wrong: exit code 64.
    Usage(String),
    /// Whoever read the output went away: no error.
    Closed,
}

impl Failure {
    /// Output that could not be written: no failure when its reader went away.
    pub fn unwritten(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Runtime(format!("can't write the output: {error}")),
        }
    }

    /// The process' exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Closed => 0,
            Failure::Runtime(_) => 1,
            Failure::Checked => 2,
            Failure::Usage(_) => 64,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Runtime(message) | Failure::Usage(message) => f.write_str(message),
            Failure::Checked | Failure::Closed => Ok(()),
        }
    }
}

/// What `run` of a verb gives back.
pub type Outcome = Result<(), Failure>;

/// `--format`: for people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Words and colours.
    #[default]
    Text,
    /// One JSON value a line.
    Json,
}
