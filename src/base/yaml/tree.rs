//! Any YAML value, every part with its place.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::super::diagnostic::Place;
use super::Spanned;

/// Any YAML value, every part with its place.
#[derive(Clone, Debug)]
pub struct Tree {
    place: Place,
    /// Whether a text stands in for a reference: it may then be read as a number or a truth value.
    pub(super) resolved: bool,
    /// What it is.
    pub value: TreeValue,
}

/// See [`Tree`].
#[derive(Clone, Debug)]
pub enum TreeValue {
    /// Null, a truth value, a number or a text.
    Leaf(Json),
    /// A list.
    List(Vec<Tree>),
    /// A mapping, in the author's order.
    Map(Vec<(Spanned<String>, Tree)>),
}

impl Tree {
    /// Puts a value at a place.
    pub fn new(value: TreeValue, place: Place) -> Self {
        Tree { place, resolved: false, value }
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The value without places.
    pub fn to_json(&self) -> Json {
        match &self.value {
            TreeValue::Leaf(leaf) => leaf.clone(),
            TreeValue::List(items) => Json::Array(items.iter().map(Tree::to_json).collect()),
            TreeValue::Map(entries) => Json::Object(
                entries.iter().map(|(key, tree)| (key.value.clone(), tree.to_json())).collect(),
            ),
        }
    }

    /// The entries of a mapping; none of anything else.
    pub fn entries(&self) -> &[(Spanned<String>, Tree)] {
        match &self.value {
            TreeValue::Map(entries) => entries,
            TreeValue::Leaf(_) | TreeValue::List(_) => &[],
        }
    }

    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        self.entries().iter().find(|(name, _)| name.value == key).map(|(_, tree)| tree)
    }

    /// Leaves out the entry or item that begins at `place`, and gives the entry's key.
    pub(super) fn leave_out(&mut self, place: Place) -> Option<String> {
        match &mut self.value {
            TreeValue::Leaf(_) => None,
            TreeValue::List(items) => match items.iter().position(|item| item.place == place) {
                Some(index) => {
                    items.remove(index);
                    Some(String::new())
                }
                None => items.iter_mut().find_map(|item| item.leave_out(place)),
            },
            TreeValue::Map(entries) => {
                match entries.iter().position(|(key, _)| key.place() == place) {
                    Some(index) => Some(entries.remove(index).0.value),
                    None => entries.iter_mut().find_map(|(_, tree)| tree.leave_out(place)),
                }
            }
        }
    }

    /// Every text leaf with its place, depth first.
    pub fn texts(&self, visit: &mut dyn FnMut(&str, Place)) {
        match &self.value {
            TreeValue::Leaf(Json::String(text)) => visit(text, self.place()),
            TreeValue::Leaf(_) => {}
            TreeValue::List(items) => items.iter().for_each(|item| item.texts(visit)),
            TreeValue::Map(entries) => entries.iter().for_each(|(_, tree)| tree.texts(visit)),
        }
    }

    /// Replaces text leaves, for references such as `${env:X}`: a replaced leaf may be read as a number or a truth value.
    pub fn replace_texts(&mut self, with: &mut dyn FnMut(&str, Place) -> Option<String>) {
        match &mut self.value {
            TreeValue::Leaf(Json::String(text)) => {
                if let Some(new) = with(text, self.place) {
                    *text = new;
                    self.resolved = true;
                }
            }
            TreeValue::Leaf(_) => {}
            TreeValue::List(items) => items.iter_mut().for_each(|item| item.replace_texts(with)),
            TreeValue::Map(entries) => {
                entries.iter_mut().for_each(|(_, tree)| tree.replace_texts(with));
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Raw>::deserialize(deserializer)?;
        Ok(Tree { place: spanned.place(), resolved: false, value: spanned.value.0 })
    }
}

struct Raw(TreeValue);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw(TreeValue::Leaf(Json::Null)))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw(TreeValue::Leaf(value.into())))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw(TreeValue::Leaf(value.into())))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw(TreeValue::Leaf(value.into())))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw(TreeValue::Leaf(value.into())))
    }
    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw(TreeValue::Leaf(value.into())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw(TreeValue::List(items)))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw(TreeValue::Map(entries)))
    }
}
