//! The command line: one file per verb, each with its `Args` and a `run`. A verb prints, nothing else does.

use std::fmt;

pub mod memory;
pub mod mock_models;

/// How a verb ends when it does not end well; each has its exit code.
#[derive(Debug)]
pub enum Failure {
    /// It did not work: exit code 1.
    Runtime(String),
    /// Pipelines or settings are wrong; everything has been printed: exit code 2.
    Checked,
    /// The command line is wrong: exit code 64.
    Usage(String),
}

impl Failure {
    /// The process' exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
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
            Failure::Checked => Ok(()),
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
