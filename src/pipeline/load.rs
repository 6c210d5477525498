//! Finds pipeline files and checks them together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::diagnostic::{Diagnostics, Place};
use crate::base::yaml;
use crate::stage::StageKind;

use super::check::{Checked, check};
use super::known::Known;
use super::plan::Plan;
use super::rules::across;

/// Files of one engine.
const MAX_FILES: usize = 1_000;

/// Pipelines that will run.
#[derive(Debug)]
pub struct Loaded {
    /// In the order of their files.
    pub plans: Vec<Plan<StageKind>>,
    /// Warnings and notes; no errors.
    pub warnings: Diagnostics,
}

/// Checks files, and the `*.yaml` of folders that hold a pipeline. Everything that is wrong comes back at once.
pub fn load(paths: &[PathBuf], known: &Known) -> Result<Loaded, Diagnostics> {
    let mut found = Diagnostics::new();
    let mut checked: Vec<Checked> = Vec::new();
    for path in files(paths, &mut found) {
        let file: Arc<str> = path.display().to_string().into();
        match yaml::read(&path) {
            Ok(text) => {
                let folder = path.parent().unwrap_or(Path::new("")).to_owned();
                let (one, more) = check(&file, folder, &text, known);
                found.merge(more);
                checked.extend(one);
            }
            Err(why) => {
                let message = format!("the file can't be read: {why}");
                let help = "name pipeline files, or folders that hold some".to_owned();
                found.error(&file, Place::default(), "unreadable-file", message, Some(help));
            }
        }
    }
    across::pipelines(&checked, &mut found);
    if found.has_errors() {
        return Err(found);
    }
    Ok(Loaded { plans: checked.into_iter().map(|one| one.plan).collect(), warnings: found })
}

fn files(paths: &[PathBuf], found: &mut Diagnostics) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(why) => {
                let file: Arc<str> = path.display().to_string().into();
                let message = format!("the folder can't be read: {why}");
                found.error(&file, Place::default(), "unreadable-file", message, None);
                continue;
            }
        };
        let mut inside: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| holds_pipeline(path))
            .collect();
        inside.sort();
        if inside.is_empty() {
            let file: Arc<str> = path.display().to_string().into();
            let message = "the folder holds no pipeline";
            let help = "a pipeline is a `*.yaml` file with the key `pipeline`".to_owned();
            found.error(&file, Place::default(), "no-pipeline", message, Some(help));
        }
        files.extend(inside);
    }
    files.dedup();
    if files.len() > MAX_FILES {
        let message = format!("{} pipeline files, expected at most {MAX_FILES}", files.len());
        found.error(&"".into(), Place::default(), "no-pipeline", message, None);
        files.truncate(MAX_FILES);
    }
    files
}

/// By its first key, not by a full parse: a broken pipeline is one still, and must not be passed over.
fn holds_pipeline(path: &Path) -> bool {
    let yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    yaml && path.is_file()
        && yaml::read(path).is_ok_and(|text| text.lines().any(|line| line.starts_with("pipeline:")))
}
