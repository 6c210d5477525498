//! `check`: says everything that is wrong with pipelines and settings. Nothing is connected to, unless the registry is
//! to be asked for the schemas of topics.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Parser;

use super::{Failure, Format, Outcome, runtime};
use crate::app::connect::{ConnectError, codecs};
use crate::app::known::{known, known_with_schemas};
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
    /// Ask the registry of the settings too: templates must name fields that the topics' schemas have
    #[arg(long)]
    pub registry: bool,
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
  vivremotion check --registry --settings vivremotion.yaml
  vivremotion check --format json

Exit codes: 0 nothing stands in the way (there may be warnings), 1 the registry does not answer, 2 something stands in \
the way, 64 the command line is wrong.";

/// Problems go to the standard output: they are what was asked for.
pub fn run(args: &Args) -> Outcome {
    let mut out = io::stdout().lock();
    write(args, &mut out)
}

/// What [`run`] does, to any writer.
pub fn write(args: &Args, out: &mut dyn Write) -> Outcome {
    let (mut found, known) = known_of(args)?;
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
    let failed = |error: io::Error| Failure::unwritten(&error);
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
fn known_of(args: &Args) -> Result<(Diagnostics, Known), Failure> {
    let default = Path::new(DEFAULT_FILE);
    let path = args.settings.as_deref().or_else(|| default.exists().then_some(default));
    let environment = Process::beside(path.unwrap_or(default));
    let settings = match settings::load(path, &environment) {
        Ok(settings) => settings,
        Err(found) => return Ok((found, Known::default())),
    };
    let known = match args.registry {
        false => known(&settings),
        true => {
            let failed = |error: ConnectError| Failure::Runtime(error.message);
            let codecs = codecs(&settings).map_err(failed)?;
            runtime()?.block_on(known_with_schemas(&settings, &codecs)).map_err(failed)?
        }
    };
    Ok((settings.warnings, known))
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
