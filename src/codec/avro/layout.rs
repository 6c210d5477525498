//! A layout: one Avro schema made ready for reading and writing. Every type is a node in a list, a name has become the
//! number of its node, so that nothing is looked up while a value is walked and a schema that contains itself is finite.

use std::collections::HashMap;

use apache_avro::Schema as Avro;
use apache_avro::schema::{
    DecimalSchema, InnerDecimalSchema, Name, NamespaceRef, RecordSchema, UuidSchema,
};
use serde_json::Value;

use crate::codec::CodecError;

/// Bytes of one schema's text.
const MAX_SCHEMA: usize = 1 << 20;
/// Types inside each other in one schema's text.
const MAX_SCHEMA_DEPTH: usize = 200;
/// Types in one schema.
const MAX_NODES: usize = 20_000;
/// Places of a decimal.
const MAX_SCALE: usize = 100;
/// Bytes of a name.
const MAX_NAME: usize = 256;

/// Number of a type in its layout.
pub(super) type Node = usize;

/// A schema ready for use.
#[derive(Debug)]
pub struct Layout {
    pub(super) nodes: Vec<Type>,
    pub(super) root: Node,
}

/// One type.
#[derive(Debug)]
pub(super) enum Type {
    /// A named type that is still being made; none is left in a finished layout.
    Pending,
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Date,
    Time(Unit),
    Timestamp(Unit),
    LocalTimestamp(Unit),
    /// `fixed` holds the number of bytes, when it is.
    Decimal {
        scale: usize,
        fixed: Option<usize>,
    },
    BigDecimal,
    Uuid(UuidForm),
    Duration,
    Fixed(usize),
    Enum(Vec<String>),
    Array(Node),
    Map(Node),
    Union(Vec<Node>),
    Record(Record),
}

/// What a number of a time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// How a UUID is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UuidForm {
    Text,
    Bytes,
    Fixed,
}

#[derive(Debug)]
pub(super) struct Record {
    /// Full name.
    pub name: String,
    pub fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub node: Node,
    /// As the schema has it: bytes are text of code points there.
    pub default: Option<Value>,
}

impl Layout {
    /// Reads a schema's text; `references` are the texts of the named types that it uses but does not define.
    pub fn parse(text: &str, references: &[String]) -> Result<Layout, CodecError> {
        let size: usize = text.len() + references.iter().map(String::len).sum::<usize>();
        if size > MAX_SCHEMA {
            return Err(unusable(format!("it has {size} bytes, more than {MAX_SCHEMA}")));
        }
        // A schema of one bare word, such as `string`, is valid for a registry.
        let (main, others) = Avro::parse_str_with_list(text, references)
            .map_err(|error| unusable(first_line(&error.to_string())))?;
        Layout::new(&main, &others)
    }

    /// Lays out a schema.
    pub fn new(schema: &Avro, others: &[Avro]) -> Result<Layout, CodecError> {
        let mut builder = Builder {
            nodes: Vec::new(),
            names: HashMap::new(),
            depth: 0,
            others: others
                .iter()
                .filter_map(|other| Some((other.name()?.fullname(None), other)))
                .collect(),
        };
        let root = builder.add(schema, None)?;
        Ok(Layout { nodes: builder.nodes, root })
    }
}

struct Builder<'s> {
    nodes: Vec<Type>,
    names: HashMap<String, Node>,
    depth: usize,
    others: HashMap<String, &'s Avro>,
}

impl<'s> Builder<'s> {
    /// Adds a type and what it is made of.
    fn add(&mut self, schema: &'s Avro, namespace: NamespaceRef) -> Result<Node, CodecError> {
        self.depth += 1;
        if self.depth > MAX_SCHEMA_DEPTH {
            return Err(unusable(format!("it is nested more than {MAX_SCHEMA_DEPTH} deep")));
        }
        let node = self.add_within(schema, namespace);
        self.depth -= 1;
        node
    }

    fn add_within(
        &mut self,
        schema: &'s Avro,
        namespace: NamespaceRef,
    ) -> Result<Node, CodecError> {
        let made = match schema {
            Avro::Null => Type::Null,
            Avro::Boolean => Type::Boolean,
            Avro::Int => Type::Int,
            Avro::Long => Type::Long,
            Avro::Float => Type::Float,
            Avro::Double => Type::Double,
            Avro::Bytes => Type::Bytes,
            Avro::String => Type::String,
            Avro::Date => Type::Date,
            Avro::TimeMillis => Type::Time(Unit::Millis),
            Avro::TimeMicros => Type::Time(Unit::Micros),
            Avro::TimestampMillis => Type::Timestamp(Unit::Millis),
            Avro::TimestampMicros => Type::Timestamp(Unit::Micros),
            Avro::TimestampNanos => Type::Timestamp(Unit::Nanos),
            Avro::LocalTimestampMillis => Type::LocalTimestamp(Unit::Millis),
            Avro::LocalTimestampMicros => Type::LocalTimestamp(Unit::Micros),
            Avro::LocalTimestampNanos => Type::LocalTimestamp(Unit::Nanos),
            Avro::BigDecimal => Type::BigDecimal,
            Avro::Decimal(DecimalSchema { scale, .. }) if *scale > MAX_SCALE => {
                return Err(unusable(format!("a decimal has more than {MAX_SCALE} places")));
            }
            Avro::Decimal(DecimalSchema { scale, inner: InnerDecimalSchema::Bytes, .. }) => {
                Type::Decimal { scale: *scale, fixed: None }
            }
            Avro::Decimal(DecimalSchema {
                scale, inner: InnerDecimalSchema::Fixed(fixed), ..
            }) => {
                let made = Type::Decimal { scale: *scale, fixed: Some(fixed.size) };
                return self.named(&fixed.name, namespace, made);
            }
            Avro::Uuid(UuidSchema::String) => Type::Uuid(UuidForm::Text),
            Avro::Uuid(UuidSchema::Bytes) => Type::Uuid(UuidForm::Bytes),
            Avro::Uuid(UuidSchema::Fixed(fixed)) => {
                return self.named(&fixed.name, namespace, Type::Uuid(UuidForm::Fixed));
            }
            Avro::Duration(fixed) => {
                return self.named(&fixed.name, namespace, Type::Duration);
            }
            Avro::Fixed(fixed) => {
                return self.named(&fixed.name, namespace, Type::Fixed(fixed.size));
            }
            Avro::Enum(list) => {
                list.symbols.iter().try_for_each(|symbol| short(symbol))?;
                return self.named(&list.name, namespace, Type::Enum(list.symbols.clone()));
            }
            Avro::Array(array) => Type::Array(self.add(&array.items, namespace)?),
            Avro::Map(map) => Type::Map(self.add(&map.types, namespace)?),
            Avro::Union(union) => {
                let branches = union
                    .variants()
                    .iter()
                    .map(|branch| self.add(branch, namespace))
                    .collect::<Result<Vec<_>, _>>()?;
                if branches.iter().any(|b| matches!(self.nodes[*b], Type::Union(_))) {
                    return Err(unusable("a union stands directly in a union".to_owned()));
                }
                Type::Union(branches)
            }
            Avro::Record(record) => return self.record(record, namespace),
            Avro::Ref { name } => return self.reference(name, namespace),
        };
        self.push(made)
    }

    fn record(
        &mut self,
        record: &'s RecordSchema,
        namespace: NamespaceRef,
    ) -> Result<Node, CodecError> {
        let name = record.name.fully_qualified_name(namespace).into_owned();
        // The name must be known before the fields are laid out: they may contain the record itself.
        let node = self.named(&name, None, Type::Pending)?;
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            short(&field.name)?;
            fields.push(Field {
                name: field.name.clone(),
                node: self.add(&field.schema, name.namespace())?,
                default: field.default.clone(),
            });
        }
        self.nodes[node] = Type::Record(Record { name: name.fullname(None), fields });
        Ok(node)
    }

    fn reference(&mut self, name: &Name, namespace: NamespaceRef) -> Result<Node, CodecError> {
        let full = name.fullname(namespace);
        if let Some(node) = self.names.get(&full) {
            return Ok(*node);
        }
        match self.others.get(&full).copied() {
            Some(other) => self.add(other, None),
            None => Err(unusable(format!("the type `{full}` is not defined"))),
        }
    }

    fn named(
        &mut self,
        name: &Name,
        namespace: NamespaceRef,
        made: Type,
    ) -> Result<Node, CodecError> {
        let node = self.push(made)?;
        self.names.insert(name.fullname(namespace), node);
        Ok(node)
    }

    fn push(&mut self, made: Type) -> Result<Node, CodecError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(unusable(format!("it has more than {MAX_NODES} types")));
        }
        self.nodes.push(made);
        Ok(self.nodes.len() - 1)
    }
}

/// A schema that the registry has and we can't use.
pub(super) fn unusable(why: String) -> CodecError {
    CodecError::permanent("unusable-schema", format!("the schema can't be used: {why}"))
}

/// Names are copied into every value.
fn short(name: &str) -> Result<(), CodecError> {
    match name.len() > MAX_NAME {
        true => Err(unusable(format!("a name has more than {MAX_NAME} bytes"))),
        false => Ok(()),
    }
}

/// A library's error may print a whole schema.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}
