use serde_json::json;

use super::*;

fn scope() -> Value {
    from_json(&json!({ "event": { "input": { "text": "secret words" }, "list": [] }, "kb": null }))
}

fn said(template: &str) -> String {
    Template::compile(template).unwrap().render(&scope()).unwrap_err().message
}

#[test]
fn a_name_that_is_not_there_is_told_up_to_the_step_that_is_missing() {
    assert_eq!(
        said("{{ event.input.text }} {{ event.inptu.text }}"),
        "the template names `event.inptu`, which is not there"
    );
    assert_eq!(said("{{ evnt.input }}"), "the template names `evnt`, which is not there");
    let expression = Expression::compile("event.input.label == 1 and event.input.kind.x").unwrap();
    let error = expression.test(&scope()).unwrap_err();
    assert!(error.undefined);
    assert_eq!(
        error.message,
        "the expression `event.input.label == 1 and event.input.kind.x` names `event.input.label`, which is not there"
    );
}

#[test]
fn the_name_is_looked_for_on_the_line_of_the_error() {
    let text = "{% if event.maybe is defined %}x{% endif %}\n{{ event.input.missing }}";
    assert_eq!(said(text), "the template names `event.input.missing`, which is not there");
}

#[test]
fn what_can_not_be_followed_is_told_without_a_name() {
    let text = said("{{ event.list[0].text }}");
    assert!(
        !text.contains("secret") && text.contains("names something that is not there"),
        "{text}"
    );
}
