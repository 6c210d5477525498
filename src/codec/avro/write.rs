//! Writes a JSON value as one Avro datum. What does not fit is refused with the path of the field; nothing is converted
//! that could lose something.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::layout::{Layout, Node, Record, Type, Unit, UuidForm};
use super::logical;
use super::misfit::{Misfit, decimal_text, float, list, parsed, text, whole};
use crate::codec::{CodecError, MAX_DEPTH};

/// Types that may be tried for one value, over all its parts: a union is written by trying its branches, and unions in
/// unions multiply.
const MAX_STEPS: usize = 1_000_000;

/// Appends the datum of a value.
pub(super) fn write(layout: &Layout, value: &Value, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let mut writer = Writer { layout, out, steps: 0, form: Form::Ours };
    writer.value(layout.root, value, 0).map_err(|misfit| misfit.error())
}

/// How a JSON value means bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// By the room's table of types: base64, decimal text, RFC 3339.
    Ours,
    /// As defaults stand in a schema: code points, and numbers for times.
    Schema,
}

struct Writer<'a> {
    layout: &'a Layout,
    out: &'a mut Vec<u8>,
    steps: usize,
    form: Form,
}

impl Writer<'_> {
    fn value(&mut self, node: Node, value: &Value, depth: usize) -> Result<(), Misfit> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Misfit::new("too-many-values", "it takes too many steps to write"));
        }
        if depth > MAX_DEPTH {
            let why = format!("it is nested more than {MAX_DEPTH} deep");
            return Err(Misfit::new("too-deep", why));
        }
        let layout = self.layout;
        match &layout.nodes[node] {
            Type::Null if value.is_null() => {}
            Type::Null => return Err(Misfit::expected("null", value)),
            Type::Boolean => match value {
                Value::Bool(truth) => self.out.push(u8::from(*truth)),
                other => return Err(Misfit::expected("a truth value", other)),
            },
            Type::Int => put_long(self.out, whole(value, i64::from(i32::MIN), i32::MAX.into())?),
            Type::Long => put_long(self.out, whole(value, i64::MIN, i64::MAX)?),
            Type::Float => {
                let number = float(value)?;
                let narrow = number as f32;
                if number.is_finite() && narrow.is_infinite() {
                    return Err(Misfit::expected("a number that fits 32 bits", value));
                }
                self.out.extend_from_slice(&narrow.to_le_bytes());
            }
            Type::Double => self.out.extend_from_slice(&float(value)?.to_le_bytes()),
            Type::String => put_bytes(self.out, text(value, "a text")?.as_bytes()),
            Type::Bytes => put_bytes(self.out, &self.bytes(value)?),
            Type::Fixed(size) => {
                let bytes = self.bytes(value)?;
                if bytes.len() != *size {
                    return Err(Misfit::new(
                        "schema-mismatch",
                        format!("expected {size} bytes, got {}", bytes.len()),
                    ));
                }
                self.out.extend_from_slice(&bytes);
            }
            Type::Enum(symbols) => {
                let text = text(value, "a symbol")?;
                match symbols.iter().position(|symbol| symbol == text) {
                    Some(index) => put_long(self.out, index as i64),
                    None => return Err(Misfit::expected(list("one of", symbols), value)),
                }
            }
            Type::Date => match self.number(value, i32::MIN.into(), i32::MAX.into())? {
                Some(days) => put_long(self.out, days),
                None => {
                    let days = parsed(value, "a date such as `2026-11-22`", logical::date)?;
                    put_long(self.out, i64::from(days));
                }
            },
            Type::Time(unit) => {
                let most = if *unit == Unit::Millis { i32::MAX.into() } else { i64::MAX };
                let count = match self.number(value, 0, most)? {
                    Some(count) => count,
                    None => parsed(value, "a time such as `19:07:51.5`", |text| {
                        logical::time(text, *unit)
                    })?,
                };
                put_long(self.out, count);
            }
            Type::Timestamp(unit) => {
                let count = match self.number(value, i64::MIN, i64::MAX)? {
                    Some(count) => count,
                    None => parsed(value, "a time such as `2026-11-22T19:07:51Z`", |text| {
                        logical::timestamp(text, *unit)
                    })?,
                };
                put_long(self.out, count);
            }
            Type::LocalTimestamp(unit) => {
                let count = match self.number(value, i64::MIN, i64::MAX)? {
                    Some(count) => count,
                    None => parsed(value, "a time such as `2026-11-22T19:07:51`", |text| {
                        logical::local(text, *unit)
                    })?,
                };
                put_long(self.out, count);
            }
            Type::Decimal { scale, fixed } => self.decimal(value, *scale, *fixed)?,
            Type::BigDecimal => {
                let number = decimal_text(value)?;
                let places = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
                let unscaled = logical::decimal(&number, places)
                    .ok_or_else(|| Misfit::expected("a decimal of at most 38 digits", value))?;
                let mut inner = Vec::new();
                put_bytes(&mut inner, &logical::integer_bytes(unscaled));
                put_long(&mut inner, places as i64);
                put_bytes(self.out, &inner);
            }
            Type::Uuid(form) => {
                let uuid = parsed(value, "a UUID", |text| uuid::Uuid::parse_str(text).ok())?;
                match form {
                    UuidForm::Text => put_bytes(self.out, uuid.to_string().as_bytes()),
                    UuidForm::Bytes => put_bytes(self.out, uuid.as_bytes()),
                    UuidForm::Fixed => self.out.extend_from_slice(uuid.as_bytes()),
                }
            }
            Type::Duration => {
                let what = "a duration such as `P1M2DT0.003S`";
                self.out.extend_from_slice(&parsed(value, what, logical::duration)?);
            }
            Type::Array(items) => {
                let Value::Array(list) = value else {
                    return Err(Misfit::expected("a list", value));
                };
                if !list.is_empty() {
                    put_long(self.out, list.len() as i64);
                    for (at, item) in list.iter().enumerate() {
                        self.value(*items, item, depth + 1)
                            .map_err(|misfit| misfit.at(format!("[{at}]")))?;
                    }
                }
                self.out.push(0);
            }
            Type::Map(values) => {
                let Value::Object(map) = value else {
                    return Err(Misfit::expected("a mapping", value));
                };
                if !map.is_empty() {
                    put_long(self.out, map.len() as i64);
                    for (key, value) in map {
                        put_bytes(self.out, key.as_bytes());
                        self.value(*values, value, depth + 1)
                            .map_err(|misfit| misfit.at(key.as_str()))?;
                    }
                }
                self.out.push(0);
            }
            Type::Union(branches) => self.union(branches, value, depth)?,
            Type::Record(record) => match value {
                Value::Object(map) => self.record(record, map, depth)?,
                other => return Err(Misfit::expected("a mapping", other)),
            },
            Type::Pending => {
                return Err(Misfit::new("unusable-schema", "a type is not defined"));
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        record: &Record,
        map: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), Misfit> {
        let mut known = 0;
        for field in &record.fields {
            let given = map.get(&field.name);
            known += usize::from(given.is_some());
            let wrote = match (given, &field.default) {
                (Some(value), _) => self.value(field.node, value, depth + 1),
                (None, Some(default)) => {
                    let form = std::mem::replace(&mut self.form, Form::Schema);
                    let wrote = self.value(field.node, default, depth + 1);
                    self.form = form;
                    wrote
                }
                (None, None) => Err(Misfit::new(
                    "schema-mismatch",
                    "it is missing, and the schema has no default for it",
                )),
            };
            wrote.map_err(|misfit| misfit.at(field.name.as_str()))?;
        }
        if known == map.len() {
            return Ok(());
        }
        let names: Vec<&str> = record.fields.iter().map(|field| field.name.as_str()).collect();
        match map.keys().find(|key| !names.contains(&key.as_str())) {
            Some(unknown) => Err(Misfit::new(
                "schema-mismatch",
                format!("`{}` has no such field; {}", record.name, list("it has", &names)),
            )
            .at(unknown.as_str())),
            None => Ok(()),
        }
    }

    /// The first branch that takes the value. An optional value has one branch to speak of: its error is the error.
    fn union(&mut self, branches: &[Node], value: &Value, depth: usize) -> Result<(), Misfit> {
        let layout = self.layout;
        let fits = |node: Node| matches!(layout.nodes[node], Type::Null) == value.is_null();
        let mut candidates = (0..branches.len()).filter(|index| fits(branches[*index])).peekable();
        let start = self.out.len();
        let mut last = None;
        while let Some(index) = candidates.next() {
            put_long(self.out, index as i64);
            match self.value(branches[index], value, depth) {
                Ok(()) => return Ok(()),
                Err(misfit) if last.is_none() && candidates.peek().is_none() => return Err(misfit),
                Err(misfit) if misfit.code != "schema-mismatch" => return Err(misfit),
                Err(misfit) => last = Some(misfit),
            }
            self.out.truncate(start);
        }
        let names: Vec<String> = branches.iter().map(|node| layout.word(*node)).collect();
        Err(Misfit::expected(list("one of", &names), value))
    }

    /// A plain number where the form allows one for a time.
    fn number(&self, value: &Value, least: i64, most: i64) -> Result<Option<i64>, Misfit> {
        match value {
            Value::Number(_) => whole(value, least, most).map(Some),
            _ => Ok(None),
        }
    }

    fn bytes(&self, value: &Value) -> Result<Vec<u8>, Misfit> {
        match self.form {
            Form::Ours => parsed(value, "bytes as base64 text", |text| STANDARD.decode(text).ok()),
            Form::Schema => parsed(value, "bytes as text of code points", |text| {
                text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
            }),
        }
    }

    fn decimal(&mut self, value: &Value, scale: usize, fixed: Option<usize>) -> Result<(), Misfit> {
        let bytes = match self.form {
            Form::Schema => self.bytes(value)?,
            Form::Ours => {
                let what = format!("a decimal of at most {scale} places and 38 digits");
                let unscaled = logical::decimal(&decimal_text(value)?, scale)
                    .ok_or_else(|| Misfit::expected(what, value))?;
                logical::integer_bytes(unscaled)
            }
        };
        match fixed {
            None => put_bytes(self.out, &bytes),
            Some(size) => {
                let Some(padding) = size.checked_sub(bytes.len()) else {
                    return Err(Misfit::expected(format!("a decimal of {size} bytes"), value));
                };
                let sign = if bytes.first().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
                self.out.resize(self.out.len() + padding, sign);
                self.out.extend_from_slice(&bytes);
            }
        }
        Ok(())
    }
}

impl Layout {
    /// A type's word in a schema.
    fn word(&self, node: Node) -> String {
        let word = match &self.nodes[node] {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int => "int",
            Type::Long => "long",
            Type::Float => "float",
            Type::Double => "double",
            Type::Bytes => "bytes",
            Type::String => "string",
            Type::Date => "date",
            Type::Time(_) => "time",
            Type::Timestamp(_) => "timestamp",
            Type::LocalTimestamp(_) => "local-timestamp",
            Type::Decimal { .. } | Type::BigDecimal => "decimal",
            Type::Uuid(_) => "uuid",
            Type::Duration => "duration",
            Type::Fixed(_) => "fixed",
            Type::Enum(_) => "enum",
            Type::Array(_) => "array",
            Type::Map(_) => "map",
            Type::Union(_) => "union",
            Type::Record(record) => return record.name.clone(),
            Type::Pending => "undefined",
        };
        word.to_owned()
    }
}

/// Zigzag, seven bits a byte.
pub(super) fn put_long(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Length, then bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}
