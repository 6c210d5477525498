//! What is wrong with a file, as data: code, place, message, mend. All problems of a run are collected and printed
//! together, sorted by place.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;

/// Characters of a source line that are shown.
const SHOWN: usize = 160;
/// Characters of a message or a help.
const LONGEST: usize = 1_000;
/// The problem of a line that is not shown, whatever else is wrong with it: it holds a secret, and what is printed here
/// ends up in logs.
const SECRET: &str = "inline-secret";
/// Problems that are printed; the rest is counted.
const PRINTED: usize = 100;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It will not run.
    Error,
    /// It will run, but hardly as meant.
    Warning,
    /// It will run; something could not be proven.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// A place in a file, counted from 1; 0 where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

impl Place {
    /// The place of a byte of `text`.
    pub fn of(text: &str, byte: usize) -> Place {
        let before = text.get(..byte).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
        Place {
            line: count(before.bytes().filter(|b| *b == b'\n').count()),
            column: count(before.get(start..).unwrap_or("").chars().count()),
        }
    }
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

/// All problems of a run, and the texts they point into.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    texts: BTreeMap<Arc<str>, Arc<str>>,
}

impl Diagnostics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers a file's text, so that its lines can be shown.
    pub fn source(&mut self, file: &Arc<str>, text: &str) {
        self.texts.insert(Arc::clone(file), text.into());
    }

    /// Takes one down; the same problem at the same place is taken down once.
    pub fn push(&mut self, mut diagnostic: Diagnostic) {
        shorten(&mut diagnostic.message);
        diagnostic.help.iter_mut().for_each(shorten);
        if !self.items.contains(&diagnostic) {
            self.items.push(diagnostic);
        }
    }

    /// Takes down an error.
    pub fn error(
        &mut self,
        file: &Arc<str>,
        place: Place,
        code: &'static str,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let (file, message) = (Arc::clone(file), message.into());
        self.push(Diagnostic { code, severity: Severity::Error, file, place, message, help });
    }

    /// Takes down a warning.
    pub fn warning(
        &mut self,
        file: &Arc<str>,
        place: Place,
        code: &'static str,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let (file, message) = (Arc::clone(file), message.into());
        self.push(Diagnostic { code, severity: Severity::Warning, file, place, message, help });
    }

    /// Takes down a note.
    pub fn note(&mut self, file: &Arc<str>, place: Place, code: &'static str, message: &str) {
        let (file, message, severity) = (Arc::clone(file), message.to_owned(), Severity::Note);
        self.push(Diagnostic { code, severity, file, place, message, help: None });
    }

    /// Takes over everything of another run.
    pub fn merge(&mut self, other: Diagnostics) {
        self.texts.extend(other.texts);
        other.items.into_iter().for_each(|item| self.push(item));
    }

    /// Changes what was taken down, such as a help that only the caller knows.
    pub fn amend(&mut self, change: impl FnMut(&mut Diagnostic)) {
        self.items.iter_mut().for_each(change);
    }

    /// Whether anything stands in the way of running.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Numbers of errors and of warnings.
    pub fn counts(&self) -> (usize, usize) {
        let count = |of| self.items.iter().filter(|item| item.severity == of).count();
        (count(Severity::Error), count(Severity::Warning))
    }

    /// All, sorted by file and place.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut items: Vec<&Diagnostic> = self.items.iter().collect();
        items.sort_by(|a, b| {
            (&a.file, a.place, a.severity, a.code, &a.message)
                .cmp(&(&b.file, b.place, b.severity, b.code, &b.message))
        });
        items
    }

    /// For editors: one JSON value a line.
    pub fn to_json_lines(&self) -> String {
        let lines = self.sorted().into_iter().filter_map(|item| serde_json::to_string(item).ok());
        lines.fold(String::new(), |text, line| text + &line + "\n")
    }

    fn shown_line(&self, item: &Diagnostic) -> Option<String> {
        let here =
            |other: &Diagnostic| (&other.file, other.place.line) == (&item.file, item.place.line);
        if self.items.iter().any(|other| other.code == SECRET && here(other)) {
            return None;
        }
        let line = usize::try_from(item.place.line).ok()?.checked_sub(1)?;
        let line = self.texts.get(&item.file)?.lines().nth(line)?;
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let column = usize::try_from(item.place.column).unwrap_or(0);
        let skipped = if column > SHOWN { column - SHOWN / 2 } else { 0 };
        let mut shown: String = line.chars().skip(skipped).take(SHOWN).map(clean).collect();
        if skipped > 0 {
            shown.insert(0, '…');
        }
        Some(shown.trim_end().to_owned())
    }
}

/// For people: place, code, message, the line, the mend.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = self.sorted();
        for item in sorted.iter().take(PRINTED) {
            let Place { line, column } = item.place;
            match line {
                0 => write!(f, "{}: ", printable(&item.file))?,
                _ => write!(f, "{}:{line}:{column}: ", printable(&item.file))?,
            }
            writeln!(f, "{}[{}]: {}", item.severity, item.code, printable(&item.message))?;
            if let Some(shown) = self.shown_line(item) {
                writeln!(f, " {line} | {shown}")?;
            }
            if let Some(help) = &item.help {
                writeln!(f, "  help: {}", printable(help))?;
            }
        }
        match sorted.len().saturating_sub(PRINTED) {
            0 => Ok(()),
            more => writeln!(f, "… and {more} more"),
        }
    }
}

/// What a file holds may be long; what is said of it need not be.
fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
}

/// The same text in one line, without control characters: what a file holds must not steer a terminal.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => {
                let _ = write!(out, "{}", c.escape_default());
            }
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
