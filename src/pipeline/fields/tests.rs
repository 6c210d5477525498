use serde_json::json;

use super::*;

fn path(text: &str) -> Vec<Step> {
    let step = |part: &str| match part {
        "0" => Step::Index,
        name => Step::Field(name.to_owned()),
    };
    text.split('.').map(step).collect()
}

#[track_caller]
fn check(fields: &Fields, good: &[&str], bad: &[(&str, bool)]) {
    for text in good {
        assert_eq!(fields.follow("event", &path(text)), Ok(()), "{text}");
    }
    for (text, certain) in bad {
        let missing = fields.follow("event", &path(text)).unwrap_err();
        assert_eq!(missing.certain, *certain, "{text}");
    }
}

#[test]
fn an_avro_schema_says_which_fields_there_are() {
    let schema = json!({ "type": "record", "name": "Request", "namespace": "v", "fields": [
        { "name": "input", "type": { "type": "record", "name": "Input", "fields": [
            { "name": "text", "type": ["null", "string"] },
            { "name": "parts", "type": { "type": "array", "items": { "type": "record", "name": "Part",
                "fields": [{ "name": "uri", "type": "string" }] } } },
        ] } },
        { "name": "part", "type": ["null", "Part"] },
        { "name": "tags", "type": { "type": "map", "values": "string" } },
        { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        { "name": "either", "type": ["string", "Part"] },
    ] });
    check(
        &Fields::from_avro(&schema),
        &[
            "input.text",
            "input.parts.0.uri",
            "part.uri",
            "tags.x",
            "at",
            "either.what",
            "input.text.0",
        ],
        &[
            ("inputs", true),
            ("input.txt", true),
            ("part.url", true),
            ("at.x", true),
            ("tags.x.y", true),
            ("input.parts.uri", true),
        ],
    );
}

#[test]
fn a_recursive_schema_is_followed_only_so_far() {
    let schema = json!({ "type": "record", "name": "Node", "fields": [
        { "name": "left", "type": ["null", "Node"] }, { "name": "right", "type": ["null", "Node"] },
    ] });
    check(&Fields::from_avro(&schema), &["left.left.left"], &[("up", true), ("left.up", true)]);
    let far = ["left"; 30].join(".") + ".up";
    check(&Fields::from_avro(&schema), &[&far], &[]);
}

#[test]
fn a_json_schema_is_certain_only_when_it_is_closed() {
    let schema = json!({ "type": "object", "properties": { "label": { "type": "string" } } });
    check(&Fields::from_json_schema(&schema), &["label"], &[("lable", false)]);
    let schema = json!({ "type": "object", "additionalProperties": false,
        "properties": { "label": { "type": "string" }, "free": { "$ref": "#/x" } } });
    check(
        &Fields::from_json_schema(&schema),
        &["label", "free.y"],
        &[("lable", true), ("label.x", true)],
    );
}

#[test]
fn a_map_gives_the_fields_it_is_made_of() {
    let fields = Fields::from_value(&json!({ "a": "{{ x }}", "b": "n {{ x }}", "c": { "d": 1 } }));
    check(&fields, &["a.b.c", "b", "c.d"], &[("e", true), ("b.x", true), ("c.e", true)]);
}
