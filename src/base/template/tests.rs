use proptest::prelude::*;
use serde_json::{Value as Json, json};

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

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[a-c\"<{]{0,3}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from);
        let fields = prop::collection::vec(("[a-d]{1,2}", inner), 0..4)
            .prop_map(|fields| Json::Object(fields.into_iter().collect()));
        prop_oneof![list, fields]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_where_it_lies_is_what_was_made_before(value in any_json()) {
        let (made, lies) = (from_json(&value), shared(&Arc::new(value.clone())));
        prop_assert_eq!(&made, &lies);
        prop_assert_eq!(made.kind(), lies.kind());
        prop_assert_eq!((made.is_true(), made.len()), (lies.is_true(), lies.len()));
        prop_assert_eq!(to_json(&lies).unwrap(), to_json(&made).unwrap());
        let shapes = [
            "{{ v }}",
            "{{ v|tojson }}",
            "{{ v.a is defined }} {{ v.a is mapping }} {{ v['a'] is none }}",
            "{% if v is mapping %}{% for key, field in v|items %}{{ key }}={{ field }};{% endfor %}{% endif %}",
            "{% if v is mapping and v.a is mapping %}{{ v.a.b is defined }}{{ v.a|length }}{{ 'b' in v.a }}{% endif %}",
        ];
        for shape in shapes {
            let template = Template::compile(shape).unwrap();
            let render = |v: &Value| template.render(&minijinja::context! { v });
            let rendered = render(&lies);
            prop_assert_eq!(&rendered, &render(&made), "{}", shape);
            prop_assert!(!value.is_object() || rendered.is_ok(), "{}: {:?}", shape, rendered);
        }
    }
}

/// What waits for a commit would wait for ever otherwise.
#[test]
fn what_was_asked_for_holds_the_value_no_longer_than_who_asked() {
    let value = Arc::new(json!({ "a": { "b": { "c": [1, 2] } } }));
    let lies = shared(&value);
    let template = Template::compile("{{ v.a.b.c }}{{ v.a.b.c }}{{ v.a }}").unwrap();
    template.render(&minijinja::context! { v => lies.clone() }).unwrap();
    assert!(Arc::strong_count(&value) > 1);
    drop(lies);
    assert_eq!(Arc::strong_count(&value), 1);
}
