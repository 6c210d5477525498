//! Kinds that ask models.

use super::*;
use crate::model::{ModelErrorKind, Role};
use crate::stage::StageErrorKind;

const GENERATE: &str = "generate: { model: small, max_tokens: 60, prompt: [ { system: be short }, { user: \"{{ event.text }}\" } ] }";
const EXTRACT: &str = "extract: { model: small, prompt: \"{{ event.text }}\", max_tokens: 50, schema: { type: object, required: [label], additionalProperties: false, properties: { label: { enum: [billing, other] } } } }";

#[tokio::test]
async fn generate_asks_with_rendered_roles_and_gives_the_text() {
    let run = run(GENERATE, vec![answer("We look into it.")]).await;
    {
        let asked = run.model.asked.lock().unwrap();
        let (request, attempt) = &asked[0];
        let turns: Vec<_> = request.messages.iter().map(|m| (m.role, m.text.as_str())).collect();
        assert_eq!(turns, [(Role::System, "be short"), (Role::User, "my invoice is wrong")]);
        assert_eq!((request.max_tokens, *attempt, &*request.model), (60, 1, "small"));
    }
    assert_eq!(run.value(), json!("We look into it."));
}

#[tokio::test]
async fn an_answer_cut_by_its_ceiling_is_kept_by_generate_and_refused_by_extract() {
    assert_eq!(run(GENERATE, vec![ended("We look", "length")]).await.value(), json!("We look"));
    let run = run(EXTRACT, vec![ended("{\"label\":\"bil", "length")]).await;
    assert_eq!((run.error().code, &run.error().kind), ("answer-cut", &StageErrorKind::Permanent));
    assert!(run.error().message.contains("max_tokens: 50"), "{}", run.error());
}

#[tokio::test]
async fn a_withheld_answer_fails_the_stage() {
    for kind in [GENERATE, EXTRACT] {
        let run = run(kind, vec![ended("", "content_filter")]).await;
        assert_eq!(run.error().code, "content-filtered");
    }
}

#[tokio::test]
async fn extract_gives_json_that_fits_its_schema() {
    for text in [
        "{\"label\": \"billing\"}",
        "```json\n{ \"label\": \"billing\" }\n```",
        " {\"label\":\"billing\"}\n",
    ] {
        let run = run(EXTRACT, vec![answer(text)]).await;
        let schema = run.model.asked.lock().unwrap()[0].0.schema.clone().expect("a schema");
        assert_eq!(schema.name, "the_stage");
        assert_eq!(run.value(), json!({ "label": "billing" }), "{text}");
    }
}

#[tokio::test]
async fn extract_shows_a_misfit_to_the_model_once() {
    let run =
        run(EXTRACT, vec![answer("{\"label\":\"refund\"}"), answer("{\"label\":\"other\"}")]).await;
    {
        let asked = run.model.asked.lock().unwrap();
        assert_eq!(asked.iter().map(|(_, attempt)| *attempt).collect::<Vec<_>>(), [1, 2]);
        let turns = &asked[1].0.messages;
        assert_eq!(turns[1].text, "{\"label\":\"refund\"}");
        assert!(turns[2].text.contains("`/label`"), "{}", turns[2].text);
    }
    assert_eq!(run.value(), json!({ "label": "other" }));
}

#[tokio::test]
async fn a_second_misfit_fails_without_telling_the_answer() {
    let wrong = "{\"label\":\"billing\",\"my secret\":1}";
    for (second, place) in [(wrong, "/additionalProperties"), ("my secret", "not JSON")] {
        let run = run(EXTRACT, vec![answer(wrong), answer(second)]).await;
        let error = run.error();
        assert_eq!((error.code, &error.kind), ("schema-mismatch", &StageErrorKind::Permanent));
        assert!(error.message.contains(place), "{error}");
        assert!(!error.message.contains("secret"), "{error}");
        assert_eq!(run.model.asked.lock().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn what_is_shown_of_a_misfit_is_bounded() {
    let long = format!("{{\"label\":\"{}\"}}", "x".repeat(100_000));
    let run = run(EXTRACT, vec![answer(&long), answer("{\"label\":\"other\"}")]).await;
    let asked = run.model.asked.lock().unwrap();
    assert!(asked[1].0.messages[2].text.len() < 4_000);
}

#[tokio::test]
async fn errors_of_models_keep_their_class() {
    let failing = |kind| ModelError {
        kind,
        message: "the provider said no".into(),
        retry_after: Some(Duration::from_secs(3)),
    };
    for (kind, code) in [
        (ModelErrorKind::RateLimited, "rate-limited"),
        (ModelErrorKind::InvalidRequest, "invalid-request"),
        (ModelErrorKind::Unreachable, "unreachable"),
    ] {
        let run = run(GENERATE, vec![Err(failing(kind.clone()))]).await;
        let error = run.error();
        assert_eq!((error.code, error.retry_after), (code, Some(Duration::from_secs(3))));
        assert_eq!(kind.is_retriable(), error.kind == StageErrorKind::Transient);
        assert_eq!(kind.is_down(), matches!(error.kind, StageErrorKind::Down(_)));
    }
}

#[tokio::test]
async fn embed_gives_the_vector_as_numbers() {
    let run = run("embed: { model: small, text: \"{{ event.text }}\" }", vec![]).await;
    assert_eq!(run.model.embedded.lock().unwrap()[0].texts, ["my invoice is wrong"]);
    assert_eq!(run.value(), json!([19.0, 0.25]));
}

#[test]
fn a_prompt_digest_covers_roles_and_templates() {
    let model = Arc::new(Scripted::default());
    let digest = |prompt: &str| {
        let kind = checked(&format!("generate: {{ model: small, prompt: {prompt} }}"));
        let stage = build(&kind, &wiring(&model, Collections::default()));
        stage.prompt_digest().expect("a prompt").to_owned()
    };
    let one = digest("[ { user: ab } ]");
    assert_eq!(one, digest("ab"));
    for other in ["[ { system: ab }, { user: ab } ]", "abc"] {
        assert_ne!(one, digest(other), "{other}");
    }
    assert_ne!(digest("[ { user: a }, { user: b } ]"), digest("auserb"));
    assert_eq!(one.len(), 64);
}
