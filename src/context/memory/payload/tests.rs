use serde_json::json;

use super::*;
use crate::context::memory::words::Language;

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn collection() -> Collection {
    Collection {
        name: "kb".into(),
        dimensions: None,
        text: "content".into(),
        ours: true,
        tenants: true,
        language: Language::English,
    }
}

#[test]
fn fields_stand_in_order_and_without_the_stores_own() {
    let given = json!({ "z": [{ "b": 1, "a": 2 }], "id": "x", "tenant": "y", "content": "t", "text": 1, "a": null });
    let kept = Value::Object(sorted(&collection(), fields(given)));
    assert_eq!(kept.to_string(), r#"{"a":null,"text":1,"z":[{"a":2,"b":1}]}"#);
}

#[test]
fn a_list_is_equal_when_one_of_its_items_is() {
    let there = fields(json!({ "tags": ["a", "b"], "n": 3 }));
    let equal = |wanted: Value| fields_equal(&fields(wanted), |name| there.get(name).cloned());
    assert!(equal(json!({ "tags": "b", "n": 3 })));
    assert!(!equal(json!({ "tags": "c" })));
    assert!(!equal(json!({ "n": "3" })));
    assert!(!equal(json!({ "other": 3 })));
}

#[test]
fn what_no_store_can_tell_is_refused() {
    let refused = |wanted: Value| {
        check(&collection(), &Forget::Where(fields(wanted))).err().map(|error| error.message)
    };
    assert_eq!(refused(json!({ "a": "x", "b": 1, "c": true })), None);
    let message = "forgetting in collection `kb` needs at least one field to go by";
    assert_eq!(refused(json!({})).as_deref(), Some(message));
    assert!(refused(json!({ "a": 1.5 })).unwrap().contains("whole number"));
    assert!(refused(json!({ "a": [1] })).is_some());
    assert!(refused(json!({ "a.b": 1 })).unwrap().contains("plain name"));
}
