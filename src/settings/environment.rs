//! The environment: variables and files beside the settings. The one place that reads variables.

use std::path::{Path, PathBuf};

use crate::base::yaml;

/// Where references lead.
pub trait Environment {
    /// A variable, when it is set and text.
    fn variable(&self, name: &str) -> Option<String>;
    /// A file's content; a relative path starts at the folder of the settings.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// The environment of this process.
#[derive(Debug, Clone)]
pub struct Process {
    folder: PathBuf,
}

impl Process {
    /// With files relative to the folder that this file is in.
    pub fn beside(settings: &Path) -> Self {
        Process { folder: settings.parent().map(Path::to_path_buf).unwrap_or_default() }
    }
}

impl Environment for Process {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        yaml::read(&self.folder.join(path))
    }
}
