//! References and secrets: what a file may not hold in plain sight, and what stands in for a reference.

use std::sync::Arc;

use serde_json::Value as Json;

use super::environment::Environment;
use crate::base::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::base::secret::{From, looks_inline, references};
use crate::base::yaml::{Tree, TreeValue};

/// Last words of keys whose value is a secret.
const SECRET: &[&str] =
    &["password", "passphrase", "secret", "token", "api_key", "apikey", "key.pem"];
/// Keys whose value is a secret wherever they stand; `topics.<name>.key` is not among them.
const PRIVATE_KEY: &str = "key";

/// Takes down every secret that is written out.
pub(super) fn inline(file: &Arc<str>, tree: &Tree, found: &mut Diagnostics) {
    walk(file, tree, "", "", found);
}

fn walk(file: &Arc<str>, tree: &Tree, section: &str, key: &str, found: &mut Diagnostics) {
    match &tree.value {
        TreeValue::Map(entries) => {
            for (name, inner) in entries {
                let section = if section.is_empty() { name.value.as_str() } else { section };
                walk(file, inner, section, &name.value, found);
            }
        }
        TreeValue::List(items) => {
            items.iter().for_each(|item| walk(file, item, section, key, found));
        }
        TreeValue::Leaf(Json::Null | Json::Bool(_)) => {}
        TreeValue::Leaf(leaf) => {
            let text = match leaf {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            if !references(&text).is_empty() || text.is_empty() {
                return;
            }
            let what = match looks_inline(&text) {
                Some(what) => what.to_owned(),
                None if is_secret(section, key) => format!("`{key}`"),
                None => return,
            };
            let message = format!("{what} is written out here");
            found.error(file, tree.place(), "inline-secret", message, Some(mend(key)));
        }
    }
}

fn is_secret(section: &str, key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    SECRET.iter().any(|word| {
        lower
            .strip_suffix(word)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with(['.', '_', '-']))
    }) || (section == "registry" && lower == PRIVATE_KEY)
}

fn mend(key: &str) -> String {
    let name: String = key
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    format!(
        "name where it is: `\"${{env:{name}}}\"` or `\"${{file:secrets/{}}}\"`",
        key.replace('.', "_")
    )
}

/// A text with references: where it stands, and each reference with what stands in for it; none for one that leads
/// nowhere.
pub(super) struct Resolved {
    place: Place,
    parts: Vec<(String, Option<String>)>,
}

/// Puts in what references name. A reference that leads nowhere is taken down and stays.
pub(super) fn resolve(
    file: &Arc<str>,
    tree: &mut Tree,
    environment: &dyn Environment,
    found: &mut Diagnostics,
) -> Vec<Resolved> {
    let mut resolved = Vec::new();
    tree.replace_texts(&mut |text, place| {
        let references = references(text);
        if references.is_empty() {
            return None;
        }
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        let mut parts = Vec::with_capacity(references.len());
        for reference in references {
            out.push_str(text.get(at..reference.range.start).unwrap_or_default());
            let value = value(&reference.from, environment)
                .map_err(|(code, message, help)| {
                    found.error(file, place, code, message, Some(help))
                })
                .ok();
            out.push_str(value.as_deref().unwrap_or_default());
            at = reference.range.end;
            parts.push((text.get(reference.range).unwrap_or_default().to_owned(), value));
        }
        out.push_str(text.get(at..).unwrap_or_default());
        let whole = parts.iter().all(|(_, value)| value.is_some());
        resolved.push(Resolved { place, parts });
        whole.then_some(out)
    });
    resolved
}

/// What is said about a text with references names the references, not what they hold; what is said about one that leads
/// nowhere, beside that, only follows from it.
pub(super) fn conceal(found: &Diagnostics, resolved: &[Resolved]) -> Vec<Diagnostic> {
    let mut kept = Vec::new();
    for item in found.sorted() {
        let mut item = item.clone();
        let parts = resolved.iter().find(|text| text.place == item.place).map(|text| &text.parts);
        let parts = parts.map(Vec::as_slice).unwrap_or_default();
        if parts.iter().any(|(_, value)| value.is_none()) && !NOWHERE.contains(&item.code) {
            continue;
        }
        for (written, value) in parts {
            let Some(value) = value.as_ref().filter(|value| value.len() >= TELLING) else {
                continue;
            };
            item.message = item.message.replace(value, written);
            item.help = item.help.map(|help| help.replace(value, written));
        }
        kept.push(item);
    }
    kept
}

/// Bytes from which on a value may tell something: a shorter one occurs in any sentence.
const TELLING: usize = 4;
/// Codes of references that lead nowhere.
const NOWHERE: [&str; 3] = ["unset-variable", "unreadable-file", "bad-reference"];

type Nowhere = (&'static str, String, String);

fn value(from: &From<'_>, environment: &dyn Environment) -> Result<String, Nowhere> {
    match from {
        From::Env(name, default) => {
            // As in a shell: `:-` stands in for what is empty, too.
            let set = environment.variable(name);
            match (set, default) {
                (Some(value), None) => Ok(value),
                (Some(value), Some(_)) if !value.is_empty() => Ok(value),
                (_, Some(default)) => Ok((*default).to_owned()),
                (None, None) => Err((
                    "unset-variable",
                    format!("the variable `{name}` is not set"),
                    format!("set it, or give a default: `${{env:{name}:-…}}`"),
                )),
            }
        }
        From::File(path) => match environment.file(path) {
            Ok(mut content) => {
                let end = content.trim_end_matches(['\n', '\r']).len();
                content.truncate(end);
                Ok(content)
            }
            Err(why) => Err((
                "unreadable-file",
                format!("can't read `{path}`: {why}"),
                "a relative path starts at the folder of the settings file".to_owned(),
            )),
        },
        From::Unknown(inside) => Err((
            "bad-reference",
            format!("`${{{inside}}}` is no reference"),
            "write `${env:NAME}`, `${env:NAME:-default}` or `${file:path}`".to_owned(),
        )),
    }
}
