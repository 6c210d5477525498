use serde_json::json;

use super::strict;

#[test]
fn a_schema_is_strict_only_when_every_object_closes_itself_and_requires_all_it_names() {
    let closed = json!({ "type": "object", "additionalProperties": false, "required": ["a"],
        "properties": { "a": { "type": "array", "items": { "type": "string" } } } });
    assert!(strict::fits(&closed));
    let mut open = closed.clone();
    open["additionalProperties"] = json!(true);
    let mut optional = closed.clone();
    optional["required"] = json!([]);
    let mut inner = closed.clone();
    inner["properties"]["a"]["items"] = json!({ "type": "object", "properties": { "b": {} } });
    let mut unknown = closed.clone();
    unknown["properties"]["a"]["uniqueItems"] = json!(true);
    for loose in [open, optional, inner, unknown, json!({ "type": "string" }), json!(true)] {
        assert!(!strict::fits(&loose), "{loose}");
    }
}
