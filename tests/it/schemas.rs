//! `vivremotion schemas`, against an embedded registry in a folder of its own.

use std::path::Path;

use clap::Parser;
use serde_json::{Value, json};
use vivremotion::cli::Failure;
use vivremotion::cli::schemas::{Args, tell};

/// What the verb prints, or how it fails.
async fn schemas(folder: &Path, words: &[&str]) -> Result<String, Failure> {
    let settings = folder.join("vivremotion.yaml");
    let state = folder.join("state");
    let text = format!("vivremotion: 1\nstate: \"{}\"\n", state.display());
    std::fs::write(&settings, text).unwrap();
    let settings = settings.display().to_string();
    let words = [&["schemas"], words, &["--settings", settings.as_str()]].concat();
    let args = Args::try_parse_from(words).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut out = Vec::new();
    tell(&args, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

fn json_line(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[tokio::test]
async fn schemas_are_registered_listed_shown_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let said = schemas(folder, &["list"]).await.unwrap();
    assert_eq!(said, "the embedded registry has no subjects\n");
    let said = schemas(folder, &["register", "answers", "--schema", "result"]).await.unwrap();
    assert_eq!(said, "subject `answers-value` has the schema: version 1, id 1\n");
    let own = folder.join("own.avsc");
    let schema = json!({"type": "record", "name": "Own", "fields": [{"name": "a", "type": "int"}]});
    std::fs::write(&own, schema.to_string()).unwrap();
    let own = own.display().to_string();
    let words = ["register", "tickets-value", "--file", &own, "--format", "json"];
    let said = schemas(folder, &words).await.unwrap();
    assert_eq!(json_line(&said), json!({"subject": "tickets-value", "version": 1, "id": 2}));
    let said = schemas(folder, &["list", "--format", "json"]).await.unwrap();
    let lines: Vec<Value> = said.lines().map(json_line).collect();
    assert_eq!(
        lines,
        [
            json!({"subject": "answers-value", "versions": [1], "id": 1, "name": "vivremotion.Result"}),
            json!({"subject": "tickets-value", "versions": [1], "id": 2, "name": "Own"}),
        ]
    );
    let said = schemas(folder, &["show", "tickets", "--format", "json"]).await.unwrap();
    assert_eq!(json_line(&said)["schema"], schema);
    let said = schemas(folder, &["check", "tickets", "--file", &own]).await.unwrap();
    assert_eq!(said, "subject `tickets-value` takes the schema\n");
    let refused = schemas(folder, &["check", "tickets", "--schema", "cost"]).await.unwrap_err();
    assert_eq!(refused.exit_code(), 1);
    assert!(refused.to_string().starts_with("subject `tickets-value` does not take the schema: "));
}

#[tokio::test]
async fn what_is_not_there_is_said_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let missing = schemas(folder, &["show", "nowhere"]).await.unwrap_err();
    assert_eq!(missing.to_string(), "the embedded registry has no subject `nowhere-value`");
    let missing = schemas(folder, &["show", "nowhere", "--version", "3"]).await.unwrap_err();
    let message = "the embedded registry has no version 3 of subject `nowhere-value`";
    assert_eq!(missing.to_string(), message);
    let words = ["register", "t", "--file", "no/such.avsc"];
    let missing = schemas(folder, &words).await.unwrap_err();
    assert_eq!(missing.exit_code(), 64);
    assert!(missing.to_string().starts_with("can't read the schema `no/such.avsc`: "));
    for words in [&["register", "t"][..], &["register", "t", "--schema", "resullt"]] {
        assert_eq!(schemas(folder, words).await.unwrap_err().exit_code(), 64, "{words:?}");
    }
}

#[tokio::test]
async fn a_shipped_schema_is_shown_as_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let said = schemas(folder.path(), &["show", "result"]).await.unwrap();
    assert_eq!(said, std::fs::read_to_string("schemas/result.avsc").unwrap());
}

#[tokio::test]
async fn wrong_settings_are_exit_code_2() {
    let args = Args::try_parse_from(["schemas", "list", "--settings", "no/such.yaml"]).unwrap();
    let refused = tell(&args, &mut Vec::new()).await.unwrap_err();
    assert_eq!(refused.exit_code(), 2);
}

#[test]
fn check_asks_the_registry_for_the_fields_of_a_topic_when_it_is_told_to() {
    use vivremotion::cli::{Format, check};
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.avsc");
    let schema =
        json!({"type": "record", "name": "Own", "fields": [{"name": "text", "type": "string"}]});
    std::fs::write(&own, schema.to_string()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let own = own.display().to_string();
    runtime.block_on(schemas(folder.path(), &["register", "in", "--file", &own])).unwrap();
    let settings = folder.path().join("vivremotion.yaml");
    let state = folder.path().join("state");
    let text = format!(
        "vivremotion: 1\nstate: \"{}\"\nmodels: {{ small: simulated/small }}\ntopics: {{ in: {{ value: avro }} }}\n",
        state.display()
    );
    std::fs::write(&settings, text).unwrap();
    let pipeline = folder.path().join("p.yaml");
    let text = "vivremotion: 1\npipeline: p\nsource: { topic: in, from: earliest }\n\
        stages: { answer: { generate: { model: small, prompt: \"{{ event.txt }}\" } } }\nsink: { topic: out }\n";
    std::fs::write(&pipeline, text).unwrap();
    let check = |registry| {
        let args = check::Args {
            files: vec![pipeline.clone()],
            settings: Some(settings.clone()),
            registry,
            describe: false,
            format: Format::Text,
        };
        let mut out = Vec::new();
        let outcome = check::write(&args, &mut out).map_err(|failure| failure.exit_code());
        (outcome, String::from_utf8(out).unwrap())
    };
    let (outcome, said) = check(false);
    assert_eq!(outcome, Ok(()), "{said}");
    let (outcome, said) = check(true);
    assert_eq!(outcome, Err(2), "{said}");
    assert!(said.contains("error[unknown-field]") && said.contains("`text`"), "{said}");
}
