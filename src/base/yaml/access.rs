//! The parts serde asks a tree for: items, entries, keys, places, variants.

use std::cell::RefCell;

use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::super::diagnostic::Place;
use super::decode::Node;
use super::problem::Problem;
use super::{SPANNED, Spanned, Tree};

pub(super) struct Items<'a> {
    pub(super) items: std::slice::Iter<'a, Tree>,
    pub(super) unknown: &'a RefCell<Vec<Problem>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Problem;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Problem> {
        let Some(tree) = self.items.next() else { return Ok(None) };
        let node = Node { tree, key: None, unknown: self.unknown };
        let place = tree.place();
        seed.deserialize(node).map(Some).map_err(|problem| problem.at(place).of(place))
    }
}

pub(super) struct Entries<'a, I> {
    pub(super) entries: I,
    pub(super) value: Option<&'a (Spanned<String>, Tree)>,
    pub(super) unknown: &'a RefCell<Vec<Problem>>,
}

impl<'de, I: Iterator<Item = &'de (Spanned<String>, Tree)>> MapAccess<'de> for Entries<'de, I> {
    type Error = Problem;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Problem> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else { return Ok(None) };
        seed.deserialize(Key(key)).map(Some).map_err(|problem| problem.at(key.place()))
    }
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Problem> {
        let Some((key, tree)) = self.value.take() else {
            return Err(Problem::new("bad-value", "a value without a key".into()));
        };
        let node = Node { tree, key: Some(key), unknown: self.unknown };
        seed.deserialize(node).map_err(|problem| problem.at(tree.place()).of(key.place()))
    }
}

/// A mapping's key, itself perhaps [`Spanned`].
struct Key<'a>(&'a Spanned<String>);

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Problem;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_borrowed_str(&self.0.value)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match name {
            SPANNED => visitor.visit_seq(PlacedKey { key: self.0, step: 0 }),
            _ => visitor.visit_newtype_struct(self),
        }
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if !variants.contains(&self.0.value.as_str()) {
            return Err(<Problem as de::Error>::unknown_variant(&self.0.value, variants));
        }
        visitor.visit_enum(IntoDeserializer::<Problem>::into_deserializer(self.0.value.as_str()))
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

pub(super) struct Placed<'a> {
    pub(super) node: Node<'a>,
    pub(super) step: u8,
}

impl<'de> SeqAccess<'de> for Placed<'de> {
    type Error = Problem;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Problem> {
        self.step += 1;
        let place = self.node.tree.place();
        match self.step {
            1 => seed.deserialize(U32Deserializer::new(place.line)).map(Some),
            2 => seed.deserialize(U32Deserializer::new(place.column)).map(Some),
            3 => seed.deserialize(self.node).map(Some),
            _ => Ok(None),
        }
    }
}

struct PlacedKey<'a> {
    key: &'a Spanned<String>,
    step: u8,
}

impl<'de> SeqAccess<'de> for PlacedKey<'de> {
    type Error = Problem;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Problem> {
        self.step += 1;
        let place = self.key.place();
        match self.step {
            1 => seed.deserialize(U32Deserializer::new(place.line)).map(Some),
            2 => seed.deserialize(U32Deserializer::new(place.column)).map(Some),
            3 => seed.deserialize(Key(self.key)).map(Some),
            _ => Ok(None),
        }
    }
}

pub(super) struct Variant<'a> {
    pub(super) word: &'a str,
    pub(super) content: Option<Node<'a>>,
    pub(super) place: Place,
    /// The key a bare word stands under.
    pub(super) bare: Option<&'a Spanned<String>>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Problem;
    type Variant = Self;
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Problem> {
        let word: StrDeserializer<'de, Problem> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> Variant<'de> {
    fn content(&self) -> Result<Node<'de>, Problem> {
        self.content.ok_or_else(|| {
            let under = self.bare.map_or("a value", |key| key.value.as_str());
            let message = format!("`{}` needs a value of its own", self.word);
            let help = format!("write `{under}: {{ {}: … }}`", self.word);
            Problem::new("wrong-type", message).help(Some(help)).at(self.place)
        })
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Problem;
    fn unit_variant(self) -> Result<(), Problem> {
        match self.content {
            None => Ok(()),
            Some(_) => {
                let message = format!("`{}` takes no value", self.word);
                let help = format!("write only `{}`", self.word);
                Err(Problem::new("wrong-type", message).help(Some(help)).at(self.place))
            }
        }
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        seed.deserialize(self.content()?)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.content()?.deserialize_seq(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.content()?.deserialize_struct("", fields, visitor)
    }
}
