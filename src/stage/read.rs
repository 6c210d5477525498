//! Reads a stage's kind key out of a mapping that holds the common keys too: the reader of the mapping has seen the
//! key, its value is still to come.

use serde::Deserialize;
use serde::de::value::EnumAccessDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, Error, IntoDeserializer, MapAccess, VariantAccess};

use super::StageSpec;

impl StageSpec {
    /// Reads the value that stands next in `map`, under the kind key `kind`. Any other key is an unknown variant.
    pub fn read<'de, A: MapAccess<'de>>(kind: &str, map: &mut A) -> Result<Self, A::Error> {
        StageSpec::deserialize(EnumAccessDeserializer::new(UnderKey { kind, map }))
    }
}

struct UnderKey<'k, A> {
    kind: &'k str,
    map: &'k mut A,
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for UnderKey<'_, A> {
    type Error = A::Error;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), A::Error> {
        let variant = seed.deserialize(self.kind.into_deserializer())?;
        Ok((variant, self))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for UnderKey<'_, A> {
    type Error = A::Error;
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
    fn unit_variant(self) -> Result<(), A::Error> {
        Err(Error::custom("a kind has parameters"))
    }
    fn tuple_variant<V: serde::de::Visitor<'de>>(
        self,
        _len: usize,
        _visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.unit_variant().and_then(|()| Err(Error::custom("a kind has one set of parameters")))
    }
    fn struct_variant<V: serde::de::Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.unit_variant().and_then(|()| Err(Error::custom("a kind has one set of parameters")))
    }
}
