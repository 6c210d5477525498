//! What is wrong with a file, as data: code, place, message, mend. All problems of a run are collected and printed
//! together, sorted by place.

use std::sync::Arc;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It will not run.
    Error,
    /// It will run, but hardly as meant.
    Warning,
}

/// A place in a file, counted from 1; 0 where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Word with dashes, such as `unknown-model`.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// Where in it.
    #[serde(flatten)]
    pub place: Place,
    /// Lower case, no final stop, names the thing in backticks.
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}
