//! `check`: says everything that is wrong with pipelines and settings. Nothing is connected to.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Parser;

use super::{Failure, Format, Outcome};
use crate::app::known::known;
use crate::base::diagnostic::Diagnostics;
use crate::pipeline::{Known, describe, load};
use crate::settings::{self, DEFAULT_FILE, Process};

/// Where pipelines are when none are named.
pub const PIPELINES: &str = "pipelines";

/// Check pipelines and settings: every problem at once, with its place and how to mend it
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Pipeline files, or folders of them
    #[arg(default_value = PIPELINES, value_name = "FILES")]
    pub files: Vec<PathBuf>,
    /// Settings; `vivremotion.yaml` when it is there
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Show what will run, with every default
    #[arg(long)]
    pub describe: bool,
    /// Words, or one JSON value for each problem
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

const EXAMPLES: &str = "\
Examples:
  vivremotion check
  vivremotion check pipelines/support-triage.yaml --settings vivremotion.yaml
  vivremotion check --format json

Exit codes: 0 nothing stands in the way (there may be warnings), 2 something does, 64 the command line is wrong.";

/// Problems go to the standard output: they are what was asked for.
pub fn run(args: &Args) -> Outcome {
    let mut out = io::stdout().lock();
    write(args, &mut out)
}

/// What [`run`] does, to any writer.
pub fn write(args: &Args, out: &mut dyn Write) -> Outcome {
    let (mut found, known) = settings(args.settings.as_deref());
    let plans = match load(&args.files, &known) {
        Ok(loaded) => {
            found.merge(loaded.warnings);
            loaded.plans
        }
        Err(more) => {
            found.merge(more);
            Vec::new()
        }
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Runtime(format!("can't write the output: {error}")),
    };
    match args.format {
        Format::Json => out.write_all(found.to_json_lines().as_bytes()).map_err(failed)?,
        Format::Text => {
            write!(out, "{found}").map_err(failed)?;
            if args.describe {
                for plan in &plans {
                    writeln!(out, "{}", describe::text(plan, &known.currency)).map_err(failed)?;
                }
            }
            let (errors, warnings) = found.counts();
            writeln!(out, "{}", summary(plans.len(), errors, warnings)).map_err(failed)?;
        }
    }
    match found.has_errors() {
        true => Err(Failure::Checked),
        false => Ok(()),
    }
}

/// Settings that are wrong do not hide what is wrong with pipelines: those are then checked as without settings.
fn settings(named: Option<&Path>) -> (Diagnostics, Known) {
    let default = Path::new(DEFAULT_FILE);
    let path = named.or_else(|| default.exists().then_some(default));
    let environment = Process::beside(path.unwrap_or(default));
    match settings::load(path, &environment) {
        Ok(settings) => {
            let known = known(&settings);
            (settings.warnings, known)
        }
        Err(found) => (found, Known::default()),
    }
}

fn summary(plans: usize, errors: usize, warnings: usize) -> String {
    let count = |number: usize, one: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    };
    let warned = match warnings {
        0 => String::new(),
        warnings => format!(", {}", count(warnings, "warning")),
    };
    match errors {
        0 => format!("{} can run{warned}", count(plans, "pipeline")),
        errors => format!("{}{warned}", count(errors, "error")),
    }
}
