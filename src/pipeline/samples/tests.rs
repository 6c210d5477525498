use serde_json::json;

use super::*;

fn list(text: &str) -> Result<Samples, Diagnostics> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.ndjson"), "").unwrap();
    let path = folder.path().join("samples.yaml");
    std::fs::write(&path, text).unwrap();
    let mut samples = Samples::load(&path)?;
    let strip = |path: &mut PathBuf| *path = path.strip_prefix(folder.path()).unwrap().to_owned();
    samples.events.iter_mut().for_each(strip);
    samples.memory.values_mut().flatten().for_each(strip);
    Ok(samples)
}

#[test]
fn a_list_names_events_and_memory_beside_it() {
    let samples = list("vivremotion: 1\nevents: [a.ndjson]\nmemory: { kb: [a.ndjson] }\n").unwrap();
    assert_eq!(samples.events, [PathBuf::from("a.ndjson")]);
    assert_eq!(samples.memory, BTreeMap::from([("kb".into(), vec!["a.ndjson".into()])]));
}

#[test]
fn what_is_wrong_with_a_list_has_a_place() {
    let found = list("vivremotion: 2\nevents: [a.ndjson, b.ndjson]\n").unwrap_err();
    let told: Vec<_> =
        found.sorted().iter().map(|d| (d.code, d.place.line, d.place.column)).collect();
    assert_eq!(told, [("grammar-version", 1, 14), ("unreadable-file", 2, 20)]);
    assert!(list("vivremotion: 1\nevent: [a.ndjson]\n").is_err());
}

#[test]
fn an_event_needs_a_topic_and_a_value_that_may_be_null() {
    let text = "{\"topic\":\"t\",\"value\":null}\n\n{\"topic\":\"t\",\"key\":\"k\",\"value\":{\"a\":1},\"headers\":{\"ce_id\":\"x\"}}\n";
    let events = parse_events(text).unwrap();
    assert_eq!((&events[0].value, events[0].key.as_deref()), (&Value::Null, None));
    assert_eq!((&events[1].value, events[1].key.as_deref()), (&json!({ "a": 1 }), Some("k")));
    assert_eq!(events[1].headers["ce_id"], "x");
    for wrong in
        ["{\"topic\":\"t\"}", "{\"value\":1}", "{\"topic\":\"t\",\"value\":1,\"keys\":1}", "[]"]
    {
        let (line, _) =
            parse_events(&format!("{{\"topic\":\"t\",\"value\":1}}\n{wrong}")).unwrap_err();
        assert_eq!(line, 2, "{wrong}");
    }
}
