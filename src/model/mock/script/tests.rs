use super::*;

const SCRIPT: &str = r#"
rules:
  - match: { model: writer, prompt: "order 17" }
    times: 2
    do: { status: 503, retry_after: 2s }
  - match: { prompt: refund }
    do: { answer: Done., output_tokens: 300, latency: 200ms..2s }
  - { match: { model: broken }, do: { fault: cut, rate: 0.5 } }
"#;

#[test]
fn the_first_rule_that_matches_says_how_a_call_goes() {
    let script = Script::parse("script.yaml", SCRIPT).unwrap();
    let go = |model, prompt| script.apply(Behaviour::default(), model, prompt);
    let refused = Fault::Status { code: 503, retry_after: Some(std::time::Duration::from_secs(2)) };
    assert_eq!(go("a-writer", "about order 17 and a refund").fault, Some(refused));
    let refund = go("a-writer", "refund");
    assert_eq!((refund.answer.as_deref(), refund.fault), (Some("Done."), None));
    assert_eq!(refund.output_tokens, Some(Spread::Fixed(300.0)));
    assert_eq!(refund.latency, Spread::LogNormal { p50: 0.2, p99: 2.0 });
    let broken = go("broken", "x");
    assert_eq!((broken.fault, broken.error_rate), (Some(Fault::Cut), Some(0.5)));
    assert_eq!(go("plain", "x"), Behaviour::default());
}

#[test]
fn a_rule_with_times_ends() {
    let script = Script::parse("script.yaml", SCRIPT).unwrap();
    let failed: Vec<bool> = (0..4)
        .map(|_| script.apply(Behaviour::default(), "writer", "order 17").fault.is_some())
        .collect();
    assert_eq!(failed, [true, true, false, false]);
}

#[test]
fn a_wrong_script_is_refused_with_its_place() {
    let wrong =
        Script::parse("s.yaml", "rules:\n  - do: { latency: soon, status: 503, colour: red }\n");
    let said = wrong.unwrap_err();
    assert!(
        said.contains("s.yaml:2") && said.contains("latency") && said.contains("colour"),
        "{said}"
    );
    assert!(Script::parse("s.json", r#"{ "rules": [ { "do": { "fault": "hang" } } ] }"#).is_ok());
}
