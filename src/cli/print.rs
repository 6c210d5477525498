//! Where verbs write: standard output for what was asked for, standard error for everything else. A reader that went
//! away (`| head`) ends the process quietly.

use std::io::{Write, stderr, stdout};

use super::Failure;
use crate::base::diagnostic::Diagnostics;

/// One line of what was asked for.
pub fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = stdout().lock();
    let written = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush());
    written.map_err(|error| Failure::unwritten(&error))
}

/// One line beside it, for people.
pub fn note(text: impl AsRef<str>) {
    // Nobody is left to tell when standard error is closed.
    drop(writeln!(stderr().lock(), "{}", text.as_ref()));
}

/// What is wrong with files, whole.
pub fn wrong(diagnostics: &Diagnostics) -> Failure {
    note(diagnostics.to_string().trim_end());
    Failure::Checked
}
