//! Reads one Avro datum as a JSON value, within the room's bounds: a length is believed only as far as there are bytes
//! left, depth and number of values are counted, and what is left over at the end is an error.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::layout::{Layout, Node, Record, Type, Unit, UuidForm};
use super::logical;
use crate::codec::{CodecError, MAX_DEPTH, MAX_VALUES};

/// The value of a datum.
pub(super) fn read(layout: &Layout, bytes: &[u8]) -> Result<Value, CodecError> {
    let mut reader = Reader { layout, rest: bytes, values: 0 };
    let value = reader.value(layout.root, 0)?;
    match reader.rest.len() {
        0 => Ok(value),
        over => Err(corrupt(format!("{over} bytes are left over"))),
    }
}

struct Reader<'a> {
    layout: &'a Layout,
    rest: &'a [u8],
    values: usize,
}

fn corrupt(why: impl Into<String>) -> CodecError {
    let why = why.into();
    CodecError::permanent("invalid-avro", format!("the value does not fit its schema: {why}"))
}

fn out_of_range(what: &str) -> CodecError {
    corrupt(format!("a {what} is out of range"))
}

impl<'a> Reader<'a> {
    fn value(&mut self, node: Node, depth: usize) -> Result<Value, CodecError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(CodecError::too_many());
        }
        if depth > MAX_DEPTH {
            return Err(CodecError::too_deep());
        }
        let layout = self.layout;
        match &layout.nodes[node] {
            Type::Null => Ok(Value::Null),
            Type::Boolean => match self.take(1)? {
                [0] => Ok(Value::Bool(false)),
                [1] => Ok(Value::Bool(true)),
                _ => Err(corrupt("a truth value is neither 0 nor 1")),
            },
            Type::Int => self.int().map(Value::from),
            Type::Long => self.long().map(Value::from),
            Type::Float => {
                let number = f32::from_le_bytes(self.array()?);
                // By its shortest text, so that 0.1 does not become 0.10000000149.
                Ok(float(number.to_string().parse().unwrap_or(f64::from(number))))
            }
            Type::Double => Ok(float(f64::from_le_bytes(self.array()?))),
            Type::Bytes => Ok(Value::String(STANDARD.encode(self.counted()?))),
            Type::Fixed(size) => Ok(Value::String(STANDARD.encode(self.take(*size)?))),
            Type::String => self.text().map(|text| Value::String(text.to_owned())),
            Type::Enum(symbols) => usize::try_from(self.int()?)
                .ok()
                .and_then(|index| symbols.get(index))
                .map(|symbol| Value::String(symbol.clone()))
                .ok_or_else(|| corrupt("an enum has no symbol of that number")),
            Type::Date => shown(logical::date_text(self.int()?), "date"),
            Type::Time(Unit::Millis) => {
                shown(logical::time_text(i64::from(self.int()?), Unit::Millis), "time")
            }
            Type::Time(unit) => shown(logical::time_text(self.long()?, *unit), "time"),
            Type::Timestamp(unit) => shown(logical::timestamp_text(self.long()?, *unit), "time"),
            Type::LocalTimestamp(unit) => shown(logical::local_text(self.long()?, *unit), "time"),
            Type::Decimal { scale, fixed } => {
                let bytes = match fixed {
                    Some(size) => self.take(*size)?,
                    None => self.counted()?,
                };
                decimal(bytes, *scale)
            }
            Type::BigDecimal => {
                let mut inner = Reader { layout, rest: self.counted()?, values: 0 };
                let unscaled = inner.counted()?;
                let scale = usize::try_from(inner.long()?).ok().filter(|scale| *scale <= 1_000);
                decimal(unscaled, scale.ok_or_else(|| out_of_range("decimal's scale"))?)
            }
            Type::Uuid(UuidForm::Text) => {
                let text = self.text()?;
                let uuid = uuid::Uuid::parse_str(text).map_err(|_| corrupt("a uuid is none"))?;
                Ok(Value::String(uuid.to_string()))
            }
            Type::Uuid(form) => {
                let bytes = match form {
                    UuidForm::Bytes => self.counted()?,
                    UuidForm::Fixed | UuidForm::Text => self.take(16)?,
                };
                let uuid = uuid::Uuid::from_slice(bytes).map_err(|_| corrupt("a uuid is none"))?;
                Ok(Value::String(uuid.to_string()))
            }
            Type::Duration => Ok(Value::String(logical::duration_text(self.array()?))),
            Type::Array(items) => self.list(*items, depth),
            Type::Map(values) => self.map(*values, depth),
            Type::Union(branches) => {
                let index = self.long()?;
                let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
                // A union's value stands for itself: it is no part of its own.
                self.values -= 1;
                self.value(*branch.ok_or_else(|| corrupt("a union has no such branch"))?, depth)
            }
            Type::Record(record) => self.record(record, depth),
            Type::Pending => Err(super::layout::unusable("a type is not defined".to_owned())),
        }
    }

    fn record(&mut self, record: &Record, depth: usize) -> Result<Value, CodecError> {
        let mut map = Map::with_capacity(record.fields.len());
        for field in &record.fields {
            let value = self.value(field.node, depth + 1)?;
            map.insert(field.name.clone(), value);
        }
        Ok(Value::Object(map))
    }

    fn list(&mut self, items: Node, depth: usize) -> Result<Value, CodecError> {
        let mut list = Vec::new();
        loop {
            let count = self.block()?;
            if count == 0 {
                return Ok(Value::Array(list));
            }
            for _ in 0..count {
                list.push(self.value(items, depth + 1)?);
            }
        }
    }

    fn map(&mut self, values: Node, depth: usize) -> Result<Value, CodecError> {
        let mut map = Map::new();
        loop {
            let count = self.block()?;
            if count == 0 {
                return Ok(Value::Object(map));
            }
            for _ in 0..count {
                let key = self.text()?.to_owned();
                let value = self.value(values, depth + 1)?;
                map.insert(key, value);
            }
        }
    }

    /// Number of items of a block; 0 ends the list. Items are counted one by one, so a count that lies costs nothing.
    fn block(&mut self) -> Result<u64, CodecError> {
        let count = self.long()?;
        if count < 0 {
            // The size in bytes is for readers that skip.
            self.long()?;
        }
        Ok(count.unsigned_abs())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| corrupt("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn counted(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| corrupt("a length is negative"))?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.counted()?).map_err(|_| corrupt("a text is not UTF-8"))
    }

    fn int(&mut self) -> Result<i32, CodecError> {
        i32::try_from(self.long()?).map_err(|_| out_of_range("int"))
    }

    /// A zigzag number of at most ten bytes.
    fn long(&mut self) -> Result<i64, CodecError> {
        let mut number = 0u64;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && *byte > 1 {
                return Err(out_of_range("number"));
            }
            number |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        match self.rest.len() {
            0..10 => Err(corrupt("it ends too early")),
            _ => Err(out_of_range("number")),
        }
    }
}

/// JSON has no word for what is not finite.
fn float(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => Value::from("NaN"),
        None if number > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}

fn decimal(bytes: &[u8], scale: usize) -> Result<Value, CodecError> {
    let unscaled = logical::integer(bytes).ok_or_else(|| out_of_range("decimal"))?;
    Ok(Value::String(logical::decimal_text(unscaled, scale)))
}

fn shown(text: Option<String>, what: &str) -> Result<Value, CodecError> {
    text.map(Value::String).ok_or_else(|| out_of_range(what))
}
