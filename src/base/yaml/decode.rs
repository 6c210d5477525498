//! From [`Tree`] to the caller's types. Unknown keys are taken down with the closest known one and left out, so that
//! one run shows them all; a value of the wrong type ends the value it stands in.

use std::cell::RefCell;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde_json::Value as Json;

use super::super::diagnostic::{Diagnostics, Place};
use super::super::nearest::suggestion;
use super::access::{Entries, Items, Placed, Variant};
use super::problem::Problem;
use super::{SPANNED, Spanned, Tree, TreeValue};

/// Wrong values of one tree that are looked for: each is left out to read on.
const MAX_PROBLEMS: usize = 20;

/// Reads a tree as `T`; what is wrong is added to `found`.
pub fn from_tree<T: for<'de> Deserialize<'de>>(
    file: &Arc<str>,
    tree: &Tree,
    found: &mut Diagnostics,
) -> Option<T> {
    read(file, None, tree, found)
}

/// The same, for a tree that stands under a key: what it lacks is named by it.
pub fn from_tree_under<T: for<'de> Deserialize<'de>>(
    file: &Arc<str>,
    key: &Spanned<String>,
    tree: &Tree,
    found: &mut Diagnostics,
) -> Option<T> {
    read(file, Some(key), tree, found)
}

fn read<T: for<'de> Deserialize<'de>>(
    file: &Arc<str>,
    key: Option<&Spanned<String>>,
    tree: &Tree,
    found: &mut Diagnostics,
) -> Option<T> {
    let mut rest: Option<Tree> = None;
    let mut left_out: Vec<String> = Vec::new();
    let mut told: Vec<Option<Place>> = Vec::new();
    for _ in 0..MAX_PROBLEMS {
        let unknown = RefCell::new(Vec::new());
        let read = rest.as_ref().unwrap_or(tree);
        let result = T::deserialize(Node { tree: read, key, unknown: &unknown });
        let mut note = |problem: Problem| {
            let place = problem.place.unwrap_or(tree.place());
            found.error(file, place, problem.code, problem.message, problem.help);
        };
        for problem in unknown.into_inner() {
            if !told.contains(&problem.place) {
                told.push(problem.place);
                note(problem);
            }
        }
        let problem = match result {
            Ok(value) => return Some(value),
            Err(problem) => problem,
        };
        // What was left out for being wrong is not missing.
        let missed = |name: &String| problem.message.starts_with(&format!("the key `{name}` "));
        if problem.code == "missing-key" && left_out.iter().any(missed) {
            return None;
        }
        let culprit = problem.culprit;
        note(problem);
        let mut pruned = read.clone();
        left_out.push(pruned.leave_out(culprit?)?);
        rest = Some(pruned);
    }
    None
}

#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) tree: &'a Tree,
    /// The key it stands under: what lacks a key is named by it.
    pub(super) key: Option<&'a Spanned<String>>,
    pub(super) unknown: &'a RefCell<Vec<Problem>>,
}

impl<'a> Node<'a> {
    fn unexpected(&self) -> Unexpected<'a> {
        match &self.tree.value {
            TreeValue::Leaf(Json::Null) => Unexpected::Unit,
            TreeValue::Leaf(Json::Bool(value)) => Unexpected::Bool(*value),
            TreeValue::Leaf(Json::Number(_)) => Unexpected::Unsigned(0),
            TreeValue::Leaf(_) => Unexpected::Str(""),
            TreeValue::List(_) => Unexpected::Seq,
            TreeValue::Map(_) => Unexpected::Map,
        }
    }

    fn wrong(&self, expected: &dyn de::Expected) -> Problem {
        <Problem as de::Error>::invalid_type(self.unexpected(), expected).at(self.tree.place())
    }

    fn any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
        let Node { tree, unknown, .. } = self;
        match &tree.value {
            TreeValue::Leaf(Json::Null) => visitor.visit_unit(),
            TreeValue::Leaf(Json::Bool(value)) => visitor.visit_bool(*value),
            TreeValue::Leaf(Json::Number(number)) => {
                match (number.as_u64(), number.as_i64(), number.as_f64()) {
                    (Some(value), ..) => visitor.visit_u64(value),
                    (_, Some(value), _) => visitor.visit_i64(value),
                    (_, _, value) => visitor.visit_f64(value.unwrap_or_default()),
                }
            }
            TreeValue::Leaf(Json::String(text)) => visitor.visit_borrowed_str(text),
            TreeValue::Leaf(_) => visitor.visit_unit(),
            TreeValue::List(items) => visitor.visit_seq(Items { items: items.iter(), unknown }),
            TreeValue::Map(entries) => {
                visitor.visit_map(Entries { entries: entries.iter(), value: None, unknown })
            }
        }
        .map_err(|problem| problem.at(tree.place()))
    }

    /// A text that stands in for a reference is read by the type that is asked for.
    fn resolved(&self) -> Option<Tree> {
        let TreeValue::Leaf(Json::String(text)) = &self.tree.value else { return None };
        let read: Json = serde_json::from_str(text.trim()).ok()?;
        let scalar = matches!(read, Json::Bool(_) | Json::Number(_));
        (self.tree.resolved && scalar).then(|| Tree::new(TreeValue::Leaf(read), self.tree.place()))
    }

    fn scalar<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Problem> {
        let TreeValue::Leaf(leaf) = &self.tree.value else { return Err(self.wrong(&visitor)) };
        let resolved = self.resolved();
        let leaf = match &resolved {
            Some(Tree { value: TreeValue::Leaf(leaf), .. }) => leaf,
            _ => leaf,
        };
        match leaf {
            Json::Bool(value) => visitor.visit_bool(*value),
            Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (_, _, value) => visitor.visit_f64(value.unwrap_or_default()),
            },
            _ => return Err(self.wrong(&visitor)),
        }
        .map_err(|problem: Problem| problem.at(self.tree.place()))
    }

    /// Leaves out, and takes down, the entries whose key the struct does not have.
    fn known(&self, fields: &'static [&'static str]) -> Vec<&'a (Spanned<String>, Tree)> {
        let mut known = Vec::new();
        for entry in self.tree.entries() {
            let (key, _) = entry;
            if fields.contains(&key.value.as_str()) {
                known.push(entry);
                continue;
            }
            let inside = self.key.map(|key| format!(" in `{}`", key.value)).unwrap_or_default();
            let message = format!("`{}` is not a key known{inside}", key.value);
            let free = fields.iter().copied().filter(|field| self.tree.get(field).is_none());
            let help = suggestion(&key.value, "keys that can stand here are", free);
            let problem = Problem::new("unknown-key", message).help(help).at(key.place());
            self.unknown.borrow_mut().push(problem);
        }
        known
    }
}

macro_rules! scalars {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            self.scalar(visitor)
        }
    )* };
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.any(visitor)
    }

    scalars! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.tree.value {
            TreeValue::Leaf(Json::String(text)) => visitor
                .visit_borrowed_str(text)
                .map_err(|problem: Problem| problem.at(self.tree.place())),
            TreeValue::Leaf(Json::Bool(_) | Json::Number(_)) => {
                Err(self.wrong(&visitor).help(Some("put it in quotes".into())))
            }
            _ => Err(self.wrong(&visitor)),
        }
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.tree.value {
            TreeValue::Leaf(Json::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match name {
            SPANNED => visitor.visit_seq(Placed { node: self, step: 0 }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.tree.value {
            TreeValue::List(_) => self.any(visitor),
            _ => Err(self.wrong(&visitor)),
        }
    }
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.tree.value {
            TreeValue::Map(_) => self.any(visitor),
            _ => Err(self.wrong(&visitor)),
        }
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if !matches!(self.tree.value, TreeValue::Map(_)) {
            return Err(self.wrong(&visitor));
        }
        let entries = self.known(fields);
        let place = self.key.map_or(self.tree.place(), Spanned::place);
        let map = Entries { entries: entries.into_iter(), value: None, unknown: self.unknown };
        visitor.visit_map(map).map_err(|mut problem| {
            if let ("missing-key", None, Some(key)) = (problem.code, problem.place, self.key) {
                problem.message = format!("{} in `{}`", problem.message, key.value);
            }
            problem.at(place)
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let (word, place, content) = match &self.tree.value {
            TreeValue::Leaf(Json::String(word)) => (word, self.tree.place(), None),
            TreeValue::Map(entries) => match entries.as_slice() {
                [(key, tree)] => {
                    (&key.value, key.place(), Some(Node { tree, key: Some(key), ..self }))
                }
                _ => {
                    let listed: Vec<String> = variants.iter().map(|v| format!("`{v}`")).collect();
                    let message = format!("expected exactly one key of {}", listed.join(", "));
                    return Err(Problem::new("wrong-type", message).at(self.tree.place()));
                }
            },
            _ => return Err(self.wrong(&visitor)),
        };
        if !variants.contains(&word.as_str()) {
            return Err(<Problem as de::Error>::unknown_variant(word, variants).at(place));
        }
        let bare = self.key;
        visitor
            .visit_enum(Variant { word, content, place, bare })
            .map_err(|problem| problem.at(place))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct }
}
