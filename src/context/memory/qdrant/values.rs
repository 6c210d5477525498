//! JSON values as the server's, and back.

use std::collections::HashMap;

use ::qdrant_client::Payload;
use ::qdrant_client::qdrant::{ListValue, NullValue, Struct, Value as Theirs, value::Kind};
use serde_json::{Map, Number, Value};

/// Fields as a payload.
pub(super) fn payload(fields: Map<String, Value>) -> Payload {
    fields
        .into_iter()
        .map(|(name, value)| (name, to_theirs(value)))
        .collect::<HashMap<_, _>>()
        .into()
}

/// A payload as fields, in no order.
pub(super) fn fields(payload: HashMap<String, Theirs>) -> Map<String, Value> {
    payload.into_iter().map(|(name, value)| (name, to_ours(value))).collect()
}

fn to_theirs(value: Value) -> Theirs {
    let kind = match value {
        Value::Null => Kind::NullValue(NullValue::NullValue as i32),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Kind::IntegerValue(whole),
            None => Kind::DoubleValue(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(to_theirs).collect() })
        }
        Value::Object(fields) => Kind::StructValue(Struct {
            fields: fields.into_iter().map(|(name, value)| (name, to_theirs(value))).collect(),
        }),
    };
    Theirs { kind: Some(kind) }
}

fn to_ours(value: Theirs) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::IntegerValue(whole)) => Value::Number(whole.into()),
        Some(Kind::DoubleValue(number)) => {
            Number::from_f64(number).map_or(Value::Null, Value::Number)
        }
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(to_ours).collect()),
        Some(Kind::StructValue(fields)) => Value::Object(self::fields(fields.fields)),
    }
}
