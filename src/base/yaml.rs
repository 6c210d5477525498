//! YAML as authors write it: values that remember where they stand, and a loader that takes down every problem it can
//! instead of the first. A text becomes a [`Tree`] within fixed bounds, then the tree becomes the types of the caller.
//! Unknown keys are always problems, whatever the type says; duplicate keys and tags too.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::diagnostic::{Diagnostics, Place};

mod access;
mod decode;
mod load;
mod probe;
mod problem;
mod traps;
mod tree;

pub use decode::{from_tree, from_tree_under};
pub use load::{load, read};
pub use probe::words;
pub use problem::refuse;
pub use tree::{Tree, TreeValue};

/// Bytes a file may have.
pub const MAX_BYTES: usize = 1 << 20;
/// Levels a file may have.
pub const MAX_DEPTH: usize = 32;

/// Reads a text as `T`. The problems may be warnings beside a value; without a value there is at least one error.
pub fn parse<T: DeserializeOwned>(file: &Arc<str>, text: &str) -> (Option<T>, Diagnostics) {
    let (tree, mut found) = load(file, text);
    let value = tree.and_then(|tree| from_tree(file, &tree, &mut found));
    (value, found)
}

/// A value and where it stands in its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Line.
    line: u32,
    /// Column.
    column: u32,
}

impl<T> Spanned<T> {
    /// Puts a value at a place.
    pub fn new(value: T, place: Place) -> Self {
        Spanned { value, line: place.line, column: place.column }
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        Place { line: self.line, column: self.column }
    }
}

/// The place of a spanned value.
pub fn place<T>(spanned: &Spanned<T>) -> Place {
    spanned.place()
}

/// By this name our own deserializer recognises [`Spanned`]; any other gives the value at an unknown place.
const SPANNED: &str = "$spanned";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = Spanned<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                inner: D,
            ) -> Result<Spanned<T>, D::Error> {
                T::deserialize(inner).map(|value| Spanned::new(value, Place::default()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Spanned<T>, A::Error> {
                let short = || de::Error::custom("a place has a line and a column");
                let line = seq.next_element()?.ok_or_else(short)?;
                let column = seq.next_element()?.ok_or_else(short)?;
                let value = seq.next_element()?.ok_or_else(short)?;
                Ok(Spanned { value, line, column })
            }
        }
        deserializer.deserialize_newtype_struct(SPANNED, Read(PhantomData))
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
        spanned.place()
    }
}

/// What a [`Text`] looks like, said to an author who wrote something else.
pub const EXPECTED_TEXT: &str = "expected a text, or `{ file: path }`";

impl TryFrom<Tree> for Text {
    type Error = &'static str;
    fn try_from(tree: Tree) -> Result<Self, &'static str> {
        let place = tree.place();
        match tree.value {
            TreeValue::Leaf(Json::String(text)) => Ok(Text::Inline(Spanned::new(text, place))),
            TreeValue::Map(entries) => match <[_; 1]>::try_from(entries) {
                Ok([(key, path)]) if key.value == "file" => match (path.place(), path.value) {
                    (place, TreeValue::Leaf(Json::String(path))) => {
                        Ok(Text::File(Spanned::new(path, place)))
                    }
                    _ => Err(EXPECTED_TEXT),
                },
                _ => Err(EXPECTED_TEXT),
            },
            TreeValue::Leaf(_) | TreeValue::List(_) => Err(EXPECTED_TEXT),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Tree::deserialize(deserializer)?.try_into().map_err(|expected: &str| {
            let help = "a text that looks like a number or a truth value needs quotes";
            refuse("wrong-type", expected.into(), Some(help.into()))
        })
    }
}

#[cfg(test)]
mod tests;
