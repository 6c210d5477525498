//! From text to [`Tree`], within bounds: size, depth, nodes, aliases. Tags and duplicate keys are refused here.

use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, Options, Spanned as Located};

use super::super::diagnostic::{Diagnostics, Place};
use super::{MAX_BYTES, MAX_DEPTH, Spanned, Tree, TreeValue, traps};

/// Nodes a file may have, aliases included.
const MAX_NODES: usize = 100_000;
/// Aliases a file may have.
const MAX_ALIASES: usize = 1_000;

/// Reads a file of at most [`MAX_BYTES`] of UTF-8.
pub fn read(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("it is larger than {} KiB", MAX_BYTES >> 10));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Reads a text as a tree and takes down what is wrong with it as YAML.
pub fn load(file: &Arc<str>, text: &str) -> (Option<Tree>, Diagnostics) {
    let mut found = Diagnostics::new();
    if text.len() > MAX_BYTES {
        let message = format!("the file is larger than {} KiB", MAX_BYTES >> 10);
        let help = "put long texts into files of their own: `{ file: path }`".to_owned();
        found.error(file, Place::default(), "yaml-limit", message, Some(help));
        return (None, found);
    }
    found.source(file, text);
    match serde_saphyr::from_str_with_options::<Located<Node>>(text, options()) {
        Ok(node) => {
            let tree = settle(node, file, &mut found);
            (Some(tree), found)
        }
        Err(error) => {
            refuse(&error, file, text, &mut found);
            (None, found)
        }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 2,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_recorded_anchor_events: MAX_NODES,
            max_recorded_anchor_bytes: MAX_BYTES,
            max_merge_keys: MAX_ALIASES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn refuse(error: &Error, file: &Arc<str>, text: &str, found: &mut Diagnostics) {
    let error = error.without_snippet();
    let place = error.location().map(|location| of(&location)).unwrap_or_default();
    if let Some(trap) = traps::find(text, place) {
        found.error(file, trap.place, trap.code, trap.message, Some(trap.help));
        return;
    }
    let said = bare_message(error);
    let (code, message, help) = match error {
        // Some budgets are kept by the scanner, which only has words for it.
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => ("yaml-limit", limits(), None),
        _ if said.contains("budget") || said.contains("limit") => ("yaml-limit", limits(), None),
        Error::UnsupportedTag { tag, .. } => {
            ("yaml-tag", format!("the tag `{tag}` is not allowed"), Some("remove the tag"))
        }
        Error::MultipleDocuments { .. } => {
            ("yaml-syntax", "a file holds one YAML document".to_owned(), None)
        }
        _ => ("yaml-syntax", format!("this is not valid YAML: {said}"), None),
    };
    found.error(file, place, code, message, help.map(str::to_owned));
}

fn limits() -> String {
    format!(
        "the file is larger, deeper or more entangled than allowed ({MAX_DEPTH} levels, {MAX_NODES} values, \
         {MAX_ALIASES} aliases)"
    )
}

/// The parser's sentence without the place, which stands before it already.
fn bare_message(error: &Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let cut = [" at line ", " (line "].iter().filter_map(|mark| text.find(mark)).min();
    let sentence = cut.and_then(|end| text.get(..end)).unwrap_or(text);
    sentence.trim_start_matches("error: ").trim_end_matches([':', ',', ' ']).to_owned()
}

fn of(location: &Location) -> Place {
    Place {
        line: u32::try_from(location.line()).unwrap_or(0),
        column: u32::try_from(location.column()).unwrap_or(0),
    }
}

/// A value as the parser gives it: keys are any value, and may repeat.
enum Node {
    Leaf(Json),
    List(Vec<Located<Node>>),
    Map(Vec<(Located<Node>, Located<Node>)>),
}

fn settle(node: Located<Node>, file: &Arc<str>, found: &mut Diagnostics) -> Tree {
    let place = of(&node.referenced);
    let value = match node.value {
        Node::Leaf(leaf) => TreeValue::Leaf(leaf),
        Node::List(items) => {
            TreeValue::List(items.into_iter().map(|item| settle(item, file, found)).collect())
        }
        Node::Map(pairs) => {
            let mut entries: Vec<(Spanned<String>, Tree)> = Vec::with_capacity(pairs.len());
            let mut seen = std::collections::BTreeMap::new();
            for (key, value) in pairs {
                let at = of(&key.referenced);
                let Some(name) = key_text(key.value) else {
                    let trap = traps::odd_key(place, at);
                    found.error(file, trap.place, trap.code, trap.message, Some(trap.help));
                    // A text was meant: nothing more is to be said of it.
                    return Tree::new(TreeValue::Leaf(Json::String(String::new())), place);
                };
                if let Some(first) = seen.insert(name.clone(), at) {
                    let message =
                        format!("`{name}` stands here twice, first in line {}", first.line);
                    found.error(file, at, "duplicate-key", message, Some("keep one".into()));
                    continue;
                }
                entries.push((Spanned::new(name, at), settle(value, file, found)));
            }
            TreeValue::Map(entries)
        }
    };
    Tree::new(value, place)
}

fn key_text(key: Node) -> Option<String> {
    match key {
        Node::Leaf(Json::String(text)) => Some(text),
        Node::Leaf(leaf @ (Json::Number(_) | Json::Bool(_))) => Some(leaf.to_string()),
        Node::Leaf(_) | Node::List(_) | Node::Map(_) => None,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Json::Null))
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Json::Null))
    }
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
        Node::deserialize(inner)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }
    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Node::Map(pairs))
    }
}
