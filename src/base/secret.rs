//! Secrets: a text that is never shown, and the references by which files name one.

use std::fmt;
use std::ops::Range;

/// A text without `Display`; its `Debug` shows stars and the start of its digest. Overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text, where it is used and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = blake3::hash(self.0.as_bytes()).to_hex();
        write!(f, "***{}", digest.get(..6).unwrap_or_default())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // Without this the compiler may drop the writes.
        std::hint::black_box(&bytes);
    }
}

/// `${env:NAME}`, `${env:NAME:-default}` or `${file:path}` in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The bytes it takes.
    pub range: Range<usize>,
    /// Where the text comes from.
    pub from: From<'a>,
}

/// See [`Reference`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From<'a> {
    /// A variable of the environment, and what stands in when it is not set.
    Env(&'a str, Option<&'a str>),
    /// A file's content, without the final line break.
    File(&'a str),
    /// Neither: the inside as written.
    Unknown(&'a str),
}

/// Every `${…}` of a text, in order.
pub fn references(text: &str) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.find("${")).map(|n| at + n) {
        let Some(end) = text.get(start..).and_then(|rest| rest.find('}')).map(|n| start + n) else {
            break;
        };
        let inside = text.get(start + 2..end).unwrap_or_default();
        let from = match inside.split_once(':') {
            Some(("env", rest)) => match rest.split_once(":-") {
                Some((name, default)) => From::Env(name, Some(default)),
                None => From::Env(rest, None),
            },
            Some(("file", path)) => From::File(path),
            _ => From::Unknown(inside),
        };
        found.push(Reference { range: start..end + 1, from });
        at = end + 1;
    }
    found
}

/// Beginnings by which vendors mark their keys, and the least length of the whole.
const MARKS: &[(&str, usize, &str)] = &[
    ("sk-", 20, "an API key"),
    ("sk_live_", 20, "an API key"),
    ("AKIA", 20, "an access key"),
    ("ASIA", 20, "an access key"),
    ("AIza", 30, "an API key"),
    ("ghp_", 20, "an access token"),
    ("github_pat_", 20, "an access token"),
    ("gho_", 20, "an access token"),
    ("glpat-", 16, "an access token"),
    ("xoxb-", 16, "an access token"),
    ("xoxp-", 16, "an access token"),
    ("hf_", 20, "an access token"),
    ("gsk_", 20, "an API key"),
    ("eyJ", 60, "a signed token"),
];

/// What a text seems to hold, when it looks like a secret written out.
pub fn looks_inline(text: &str) -> Option<&'static str> {
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    let word_end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    text.split(word_end).find_map(|word| {
        let (_, _, what) = MARKS.iter().find(|(mark, least, _)| {
            word.len() >= *least
                && word.starts_with(mark)
                && word.bytes().any(|b| b.is_ascii_digit())
        })?;
        Some(*what)
    })
}

#[cfg(test)]
mod tests;
