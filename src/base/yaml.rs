//! YAML as authors write it: values that remember where they stand.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::diagnostic::Place;

/// A value and where it stands in its file.
pub use serde_saphyr::Spanned;

/// The place of a spanned value.
pub fn place<T>(spanned: &Spanned<T>) -> Place {
    Place {
        line: u32::try_from(spanned.referenced.line()).unwrap_or(0),
        column: u32::try_from(spanned.referenced.column()).unwrap_or(0),
    }
}

/// A text: a bare string is inline, `{ file: path }` names a file beside the pipeline.
#[derive(Clone, Debug)]
pub enum Text {
    /// The text itself.
    Inline(Spanned<String>),
    /// A path, relative to the file that names it.
    File(Spanned<String>),
}

impl Text {
    /// Where it is written.
    pub fn place(&self) -> Place {
        let (Text::Inline(spanned) | Text::File(spanned)) = self;
        place(spanned)
    }
}

/// What a [`Text`] looks like, said to an author who wrote something else.
pub const EXPECTED_TEXT: &str = "expected a text, or `{ file: path }`";

impl TryFrom<Tree> for Text {
    type Error = &'static str;
    fn try_from(tree: Tree) -> Result<Self, &'static str> {
        let spanned = |text: String, location| Spanned::new(text, location, location);
        match tree.value {
            TreeValue::Leaf(Json::String(text)) => Ok(Text::Inline(spanned(text, tree.location))),
            TreeValue::Map(entries) => match <[_; 1]>::try_from(entries) {
                Ok([(key, Tree { value: TreeValue::Leaf(Json::String(path)), location })])
                    if key.value == "file" =>
                {
                    Ok(Text::File(spanned(path, location)))
                }
                _ => Err(EXPECTED_TEXT),
            },
            TreeValue::Leaf(_) | TreeValue::List(_) => Err(EXPECTED_TEXT),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Tree::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

/// Any YAML value, every part with its place.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Where it stands.
    pub location: serde_saphyr::Location,
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
    /// Where it stands.
    pub fn place(&self) -> Place {
        place(&Spanned::new((), self.location, self.location))
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

    /// Every text leaf with its place, depth first.
    pub fn texts(&self, visit: &mut dyn FnMut(&str, Place)) {
        match &self.value {
            TreeValue::Leaf(Json::String(text)) => visit(text, self.place()),
            TreeValue::Leaf(_) => {}
            TreeValue::List(items) => items.iter().for_each(|item| item.texts(visit)),
            TreeValue::Map(entries) => entries.iter().for_each(|(_, tree)| tree.texts(visit)),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Raw>::deserialize(deserializer)?;
        Ok(Tree { location: spanned.referenced, value: spanned.value.0 })
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
    fn visit_none<E>(self) -> Result<Raw, E> {
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
