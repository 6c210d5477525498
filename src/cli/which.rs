//! Which pipelines a verb is about.

use std::path::PathBuf;

use super::{Failure, print};
use crate::app::known::known;
use crate::base::clock::parse_time;
use crate::pipeline::load::load;
use crate::pipeline::plan::Plan;
use crate::settings::Settings;
use crate::stage::StageKind;

/// Files, and one pipeline of them.
#[derive(clap::Args, Debug)]
pub struct Which {
    /// Pipeline files, or folders of them
    #[arg(default_value = "pipelines")]
    pub files: Vec<PathBuf>,
    /// Only this pipeline
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
}

impl Which {
    /// The checked plans.
    pub fn plans(&self, settings: &Settings) -> Result<Vec<Plan<StageKind>>, Failure> {
        let loaded = load(&self.files, &known(settings)).map_err(|wrong| print::wrong(&wrong))?;
        let Some(named) = &self.pipeline else { return Ok(loaded.plans) };
        let names: Vec<String> =
            loaded.plans.iter().map(|plan| format!("`{}`", plan.name)).collect();
        let chosen: Vec<_> =
            loaded.plans.into_iter().filter(|plan| *plan.name == **named).collect();
        match chosen.is_empty() {
            false => Ok(chosen),
            true => {
                let known = names.join(", ");
                Err(Failure::Usage(format!("no pipeline is named `{named}`; there are {known}")))
            }
        }
    }
}

/// A time as events write it, milliseconds since the epoch.
pub fn time(text: &str) -> Result<i64, String> {
    parse_time(text).ok_or_else(|| format!("`{text}` is no time: write 2026-11-22T10:00:00Z"))
}
