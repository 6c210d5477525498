//! What every section needs while it is read: the file's name for problems, and the checks of words that occur in
//! several sections.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::environment::Environment;
use crate::base::diagnostic::{Diagnostics, Place};
use crate::base::quantity::Amount;
use crate::base::yaml::{Spanned, Text, Tree, TreeValue, from_tree_under};
use crate::event::money::Money;

/// Bytes of a name.
const MAX_NAME: usize = 249;

/// One reading of one file.
pub(super) struct Desk<'a> {
    pub file: &'a Arc<str>,
    pub environment: &'a dyn Environment,
    pub found: Diagnostics,
    /// Currency of the first amount.
    pub currency: Option<Arc<str>>,
}

impl Desk<'_> {
    pub fn error(
        &mut self,
        place: Place,
        code: &'static str,
        message: impl Into<String>,
        help: Option<&str>,
    ) {
        self.found.error(self.file, place, code, message, help.map(str::to_owned));
    }

    /// The value under a key.
    pub fn under<T: DeserializeOwned>(&mut self, key: &Spanned<String>, tree: &Tree) -> Option<T> {
        from_tree_under(self.file, key, tree, &mut self.found)
    }

    /// The entries of a mapping from names to something.
    pub fn named<'t>(&mut self, key: &str, tree: &'t Tree) -> &'t [(Spanned<String>, Tree)] {
        if !matches!(tree.value, TreeValue::Map(_)) {
            let message = format!("expected a mapping of names under `{key}`");
            self.error(tree.place(), "wrong-type", message, None);
        }
        tree.entries()
    }

    /// A name that users choose: it becomes part of topics, groups, labels and addresses.
    pub fn name(&mut self, name: &Spanned<String>) -> Option<Arc<str>> {
        let text = name.value.as_str();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(fits) {
            return Some(text.into());
        }
        let message = format!("`{text}` can't be a name");
        let help = "use letters, digits and `. _ -`, at most 249 of them";
        self.error(name.place(), "bad-name", message, Some(help));
        None
    }

    /// An address of a service.
    pub fn url(&mut self, url: &Spanned<String>) -> Option<String> {
        let text = url.value.trim_end_matches('/');
        let parsed = reqwest::Url::parse(text).ok();
        let help = match &parsed {
            None => "write it as `http://host:port`",
            Some(url) if !matches!(url.scheme(), "http" | "https") => "use `http` or `https`",
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                "give user and password under keys of their own"
            }
            Some(url) if url.query().is_some() || url.fragment().is_some() => {
                "leave out what follows `?` or `#`"
            }
            Some(url) if url.host_str().is_none_or(str::is_empty) => "name a host",
            Some(_) => return Some(text.to_owned()),
        };
        // The address may hold a password: it is not repeated.
        self.error(url.place(), "bad-url", "this is no address of a service", Some(help));
        None
    }

    /// A text, inline or of a file.
    pub fn text(&mut self, text: &Text) -> Option<String> {
        match text {
            Text::Inline(text) => Some(text.value.clone()),
            Text::File(path) => match self.environment.file(&path.value) {
                Ok(content) => Some(content),
                Err(why) => {
                    let message = format!("can't read `{}`: {why}", path.value);
                    let help = "a relative path starts at the folder of the settings file";
                    self.error(path.place(), "unreadable-file", message, Some(help));
                    None
                }
            },
        }
    }

    /// An amount; all of a file have one currency.
    pub fn money(&mut self, amount: &Spanned<Amount>) -> Option<Money> {
        let Amount { decimal, currency } = &amount.value;
        match &self.currency {
            None => self.currency = Some(currency.as_str().into()),
            Some(first) if **first != **currency => {
                let message = format!("`{currency}` beside `{first}`: a file has one currency");
                self.error(amount.place(), "mixed-currencies", message, None);
                return None;
            }
            Some(_) => {}
        }
        decimal.parse().ok()
    }

    /// A whole number within bounds.
    pub fn bounded(&mut self, number: &Spanned<u64>, least: u64, most: u64) -> Option<u64> {
        if (least..=most).contains(&number.value) {
            return Some(number.value);
        }
        let message = format!("expected a number from {least} to {most}");
        self.error(number.place(), "bad-value", message, None);
        None
    }

    /// A key that the grammar has and nothing stands behind yet: to accept it would be a promise.
    pub fn not_built(&mut self, key: &Spanned<String>, within: &str) {
        let message = format!("`{}` is not a key known in `{within}`", key.value);
        let help = format!("`{}` belongs to a later version and is not built yet", key.value);
        self.error(key.place(), "unknown-key", message, Some(&help));
    }
}

/// Splits entries into those that are read and, by key, those that are not built yet.
pub(super) fn without_later(
    desk: &mut Desk<'_>,
    within: &str,
    tree: &Tree,
    later: &[&str],
) -> Tree {
    let mut kept = Vec::new();
    for (key, inner) in tree.entries() {
        match later.contains(&key.value.as_str()) {
            true => desk.not_built(key, within),
            false => kept.push((key.clone(), inner.clone())),
        }
    }
    match &tree.value {
        TreeValue::Map(_) => Tree::new(TreeValue::Map(kept), tree.place()),
        TreeValue::Leaf(_) | TreeValue::List(_) => tree.clone(),
    }
}
