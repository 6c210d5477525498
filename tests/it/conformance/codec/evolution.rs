//! The shipped schemas: every field says what it is, and readers of one version read the next and the one before.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use apache_avro::types::Value as Datum;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};
use vivremotion::codec::avro::shipped;

/// Calls `visit` with every record of a schema.
fn records(schema: &Value, visit: &mut dyn FnMut(&Value)) {
    match schema {
        Value::Array(branches) => branches.iter().for_each(|branch| records(branch, visit)),
        Value::Object(map) => {
            if map.get("type") == Some(&json!("record")) {
                visit(schema);
            }
            map.values().for_each(|inner| records(inner, visit));
        }
        _ => {}
    }
}

fn fields(record: &Value) -> &Vec<Value> {
    record["fields"].as_array().unwrap()
}

#[test]
fn every_record_and_every_field_is_documented() {
    for (name, text) in shipped::ALL {
        let schema: Value = serde_json::from_str(text).unwrap();
        assert_eq!(schema["namespace"], "vivremotion", "{name}");
        records(&schema, &mut |record| {
            let docs = fields(record).iter().map(|field| (&field["name"], &field["doc"]));
            for (what, doc) in docs.chain([(&record["name"], &record["doc"])]) {
                let doc = doc.as_str().unwrap_or_default();
                assert!(doc.len() > 5 && doc.ends_with('.'), "{name}: {what}: {doc:?}");
            }
        });
    }
}

#[test]
fn the_schemas_keep_the_rules_that_let_them_grow() {
    for (name, text) in shipped::ALL {
        assert!(!text.contains("\"enum\""), "{name}: a new symbol breaks old readers");
        let schema: Value = serde_json::from_str(text).unwrap();
        records(&schema, &mut |record| {
            for field in fields(record) {
                if let Some(branches) = field["type"].as_array() {
                    assert_eq!(branches.len(), 2, "{name}: {field}");
                    assert_eq!(branches[0], "null", "{name}: {field}");
                    assert_eq!(field.get("default"), Some(&Value::Null), "{name}: {field}");
                }
                let list = matches!(field["type"]["type"].as_str(), Some("array" | "map"));
                assert!(!list || field.get("default").is_some(), "{name}: {field}");
            }
        });
    }
}

/// A value with every optional field absent and the rest filled with something.
fn sample(schema: &Value) -> Datum {
    let of = |field: &Value| match (&field["type"], field["type"]["type"].as_str()) {
        (Value::Array(_), _) => Datum::Union(0, Box::new(Datum::Null)),
        (Value::String(word), _) => match word.as_str() {
            "string" => Datum::String("x".into()),
            "int" => Datum::Int(1),
            "long" => Datum::Long(1),
            "boolean" => Datum::Boolean(true),
            other => panic!("{other}"),
        },
        (_, Some("long")) => Datum::TimestampMillis(1),
        (_, Some("map")) => Datum::Map(Default::default()),
        (_, Some("array")) => Datum::Array(Vec::new()),
        (inner, Some("record")) => sample(inner),
        (other, _) => panic!("{other}"),
    };
    Datum::Record(
        fields(schema)
            .iter()
            .map(|field| (field["name"].as_str().unwrap().to_owned(), of(field)))
            .collect(),
    )
}

#[test]
fn readers_of_one_version_read_the_next_and_the_one_before() {
    for (name, text) in shipped::ALL {
        let now: Value = serde_json::from_str(text).unwrap();
        let mut next = now.clone();
        let list = next["fields"].as_array_mut().unwrap();
        let optional = list.iter().position(|field| field["type"][0] == "null").unwrap();
        let removed = list.remove(optional);
        list.push(json!({"name": "added", "type": "string", "default": "new", "doc": "New."}));
        let [a, b] = [&now, &next].map(|schema| Schema::parse(schema).unwrap());
        for (writer, reader) in [(&a, &b), (&b, &a)] {
            let verdict = SchemaCompatibility::can_read(writer, reader);
            assert_eq!(verdict, Ok(Compatibility::Full), "{name}");
        }
        let removed = removed["name"].as_str().unwrap();
        for (writer, value, reader, expected) in [
            (&a, sample(&now), &b, ("added", Datum::String("new".into()))),
            (&b, sample(&next), &a, (removed, Datum::Union(0, Box::new(Datum::Null)))),
        ] {
            let datum = GenericDatumWriter::builder(writer).build().unwrap();
            let bytes = datum.write_value_to_vec(value).unwrap();
            let resolving =
                GenericDatumReader::builder(writer).reader_schema(reader).build().unwrap();
            let Datum::Record(read) = resolving.read_value(&mut &bytes[..]).unwrap() else {
                panic!("{name}")
            };
            let found = read.iter().find(|(field, _)| field == expected.0);
            assert_eq!(found.map(|(_, value)| value), Some(&expected.1), "{name}");
        }
    }
}
