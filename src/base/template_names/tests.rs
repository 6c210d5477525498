use super::walk::FILTERS;
use super::*;

fn shown(names: &Names) -> Vec<String> {
    let steps = |name: &Name| {
        name.steps.iter().fold(name.root.clone(), |text, step| match step {
            Step::Field(field) => format!("{text}.{field}"),
            Step::Index => format!("{text}[]"),
        })
    };
    names.used.iter().map(steps).collect()
}

#[track_caller]
fn check(source: &str, expected: &[&str], unproven: usize) {
    let names = of_template(source).unwrap();
    assert_eq!(shown(&names), expected, "{source}");
    assert_eq!(names.unproven.len(), unproven, "{source}");
    assert_eq!(names.refused, [], "{source}");
}

#[test]
fn names_are_paths_of_literal_steps() {
    check("no markers at all", &[], 0);
    check("{{ event.input.text }} and {{ kb[0].text }}", &["event.input.text", "kb[].text"], 0);
    check(
        "{{ record.headers['x-a'] | trim | default(event.b) }}",
        &["record.headers.x-a", "event.b"],
        0,
    );
    check(
        "{% if a is defined and b.c == d %}{{ e }}{% else %}{{ f }}{% endif %}",
        &["a", "b.c", "d", "e", "f"],
        0,
    );
    check(
        "{{ a if b else [c, {'k': d}] }}{{ e[1:f] }}{{ not g }}",
        &["b", "a", "c", "d", "e", "f", "g"],
        0,
    );
}

#[test]
fn names_that_the_text_binds_itself_are_not_names() {
    check("{% for p in kb %}{{ loop.index }} {{ p }}{% endfor %}", &["kb"], 0);
    check("{% set x = event.a %}{{ x }}{{ y }}", &["event.a", "y"], 0);
    check("{% with x = a %}{{ x }}{% endwith %}{{ x }}", &["a", "x"], 0);
    check("{% if a %}{% set x = b %}{{ x.c }}{% endif %}{{ x }}", &["a", "b", "b.c"], 0);
    check("{% set x = a %}{% if a %}{% set x = b %}{% endif %}{{ x.c }}", &["a", "a", "b"], 1);
    check("{% for i in a %}{% set x = i %}{% endfor %}{{ x }}", &["a", "x"], 0);
}

#[test]
fn an_alias_of_a_name_is_followed() {
    check("{% for p in kb %}{{ p.text }}{% endfor %}", &["kb", "kb[].text"], 0);
    check("{% set x = event.a %}{{ x.b }}{{ x }}", &["event.a", "event.a.b"], 0);
    let nested =
        "{% for r in event.rows %}{% for c in r.cells %}{{ c.text }}{% endfor %}{% endfor %}";
    check(nested, &["event.rows", "event.rows[].cells", "event.rows[].cells[].text"], 0);
    check("{% with x = kb, y = x[0] %}{{ y.text }}{% endwith %}", &["kb", "kb[]", "kb[].text"], 0);
}

#[test]
fn what_is_behind_another_alias_or_a_computed_step_is_told() {
    check("{% for p in kb | list %}{{ p.text }}{% endfor %}", &["kb"], 1);
    check("{% for k, v in event.tags | items %}{{ k }} {{ v.x }}{% endfor %}", &["event.tags"], 1);
    check("{{ event[record.key].x }}", &["record.key", "event"], 1);
    check("{{ event.a.upper() }}", &["event.a"], 1);
    check("{{ (a or b).c }}", &["a", "b"], 1);
}

#[test]
fn bytes_point_at_the_name() {
    let source = "ä {{ 1 }} {{ classify.label }}";
    let names = of_template(source).unwrap();
    assert_eq!(source.get(names.used[0].at..), Some("classify.label }}"));
    let names = of_expression("not classify.label").unwrap();
    assert_eq!(names.used[0].at, 4);
}

#[test]
fn what_the_engine_does_not_know_is_refused() {
    let refused = |source| of_template(source).unwrap().refused.remove(0).1;
    assert!(refused("{{ a | upcase }}").starts_with("there is no filter `upcase`"));
    assert!(refused("{{ a | lenght }}").ends_with("did you mean `length`?"));
    assert!(refused("{{ a is odder }}").contains("`is odder`"));
    assert!(refused("{{ now() }}").contains("there is no function `now`"));
    assert!(refused("{% include 'x' %}").contains("no `include`"));
    for filter in FILTERS {
        assert_eq!(
            of_template(&format!("{{{{ a | {filter} }}}}")).unwrap().refused,
            [],
            "{filter}"
        );
    }
}

#[test]
fn what_would_exhaust_the_stack_is_refused() {
    for long in [
        "{{ a".to_owned() + &".a".repeat(10_000) + " }}",
        "{{ 1".to_owned() + &"+1".repeat(10_000) + " }}",
    ] {
        assert!(of_template(&long).unwrap_err().message.contains("too large"));
        assert!(crate::base::template::Template::compile(&long).is_err());
    }
    let elif = "{% if a %}".to_owned() + &"{% elif a %}".repeat(10_000) + "{% endif %}";
    assert!(of_template(&elif).unwrap_err().message.contains("too large"));
    let fits = "{{ a".to_owned() + &".a".repeat(240) + " }}";
    assert_eq!(of_template(&fits).unwrap().used[0].steps.len(), 240);
    crate::base::template::Template::compile(&fits).unwrap();
    let fits = "{% if a %}".to_owned() + &"{% elif a %}".repeat(400) + "{% endif %}";
    assert_eq!(of_template(&fits).unwrap().used.len(), 401);
    crate::base::template::Template::compile(&fits).unwrap();
}
