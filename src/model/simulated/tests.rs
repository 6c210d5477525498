use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{self, MARK};
use super::behaviour::{Behaviour, Fault};
use super::spread::Spread;
use super::{embedding, instance, mix};
use crate::model::{Message, Role};

fn user(text: &str) -> Vec<Message> {
    vec![Message { role: Role::User, text: text.to_owned() }]
}

fn say(text: &str, max_tokens: u32) -> answer::Said {
    answer::say(&user(text), None, max_tokens, &Behaviour::default())
}

#[test]
fn a_sentence_is_marked_quotes_the_end_of_the_prompt_and_fits() {
    let said = say("Answer politely.\n\nI was charged twice in March", 100);
    assert!(
        said.text.starts_with("[simulated] Re: I was charged twice in March ("),
        "{}",
        said.text
    );
    assert_eq!(said.finish_reason, "stop");
    let short = say("Answer politely.\n\nI was charged twice in March", 8);
    assert!(short.text.starts_with(MARK) && short.tokens <= 8, "{short:?}");
    assert_eq!(short.finish_reason, "stop");
    assert_eq!(say("hello", 2).finish_reason, "length");
}

#[test]
fn the_same_messages_bring_the_same_answer_and_others_another() {
    let (one, same, other) = (say("a\n\nhello", 50), say("a\n\nhello", 50), say("b\n\nhello", 50));
    assert_eq!(one, same);
    assert_ne!(one.text, other.text, "what stands before the quoted end counts too");
}

#[test]
fn an_answer_to_a_schema_is_valid() {
    let schemas = [
        json!({ "type": "object", "required": ["label", "urgent"], "additionalProperties": false,
            "properties": { "label": { "enum": ["billing", "bug", "spam"] }, "urgent": { "type": "boolean" },
                "score": { "type": "number", "minimum": 0.2, "maximum": 0.4 } } }),
        json!({ "type": "object", "properties": { "n": { "type": "integer", "exclusiveMinimum": 3, "maximum": 5 },
            "even": { "type": "integer", "multipleOf": 2, "minimum": 7, "maximum": 9 },
            "neg": { "type": "integer", "maximum": -5 } }, "required": ["n", "even", "neg"] }),
        json!({ "type": "object", "required": ["tags", "who", "when", "maybe"], "properties": {
            "tags": { "type": "array", "minItems": 2, "maxItems": 3, "uniqueItems": true,
                "items": { "enum": ["a", "b", "c", "d"] } },
            "who": { "$ref": "#/$defs/person" }, "when": { "type": "string", "format": "date-time" },
            "maybe": { "anyOf": [{ "type": "null" }, { "type": "integer", "minimum": 1 }] } },
            "$defs": { "person": { "type": "object", "required": ["name"], "properties": {
                "name": { "type": "string", "minLength": 30, "maxLength": 31 },
                "boss": { "anyOf": [{ "$ref": "#/$defs/person" }, { "type": "null" }] } } } } }),
        json!({ "allOf": [ { "type": "object", "properties": { "a": { "const": 7 } }, "required": ["a"] },
            { "type": "object", "properties": { "b": { "type": ["null", "boolean"] } }, "required": ["b"] } ] }),
        json!({ "type": "array", "items": { "type": "number", "multipleOf": 0.5, "minimum": 1, "maximum": 2 } }),
        json!({ "type": "object", "required": ["unnamed"] }),
    ];
    for schema in &schemas {
        let validator = jsonschema::validator_for(schema).unwrap();
        for round in 0..50 {
            let made = instance::of(schema, "The press 7 hums louder than yesterday", mix(round));
            assert!(validator.is_valid(&made), "{made} is no instance of {schema}");
        }
    }
}

#[test]
fn the_one_choice_that_the_text_names_is_taken() {
    let schema = json!({ "enum": ["billing", "bug", "spam"] });
    for draw in 0..20 {
        assert_eq!(instance::of(&schema, "Rules …\n\nThis is a BUG, I say", draw), json!("bug"));
    }
    let all: std::collections::BTreeSet<String> =
        (0..50).map(|draw| instance::of(&schema, "bug or spam?", mix(draw)).to_string()).collect();
    assert_eq!(all.len(), 3, "where it names several, the hash decides");
}

#[test]
fn a_schema_that_requires_itself_ends() {
    let schema = json!({ "$ref": "#" });
    assert_eq!(instance::of(&schema, "x", 1), Value::Null);
    let tree = json!({ "type": "object", "required": ["next"], "properties": { "next": { "$ref": "#" } } });
    assert!(instance::of(&tree, "x", 1).to_string().len() < 1000);
}

#[test]
fn similar_texts_are_nearer_than_others() {
    let near = |one: &str, other: &str| -> f32 {
        let (one, other) = (embedding::vector(one, 64), embedding::vector(other, 64));
        one.iter().zip(&other).map(|(a, b)| a * b).sum()
    };
    let query = "refund of a double charged invoice";
    let right = near(query, "How to refund invoices that were charged twice");
    let wrong = near(query, "Replacing the drive belt of the hydraulic press");
    assert!(right > wrong + 0.2, "{right} {wrong}");
    assert!((near(query, query) - 1.0).abs() < 1e-5);
    assert!(embedding::vector("", 8).iter().all(|number| number.is_finite()));
    assert_eq!(embedding::vector("x", 512).len(), 512);
}

#[test]
fn a_drawn_latency_has_its_percentiles() {
    let spread = Spread::parse_latency("200ms..2s").unwrap();
    let mut drawn: Vec<Duration> = (0..20_000).map(|n| spread.latency(mix(n))).collect();
    drawn.sort();
    let at = |share: usize| drawn[drawn.len() * share / 100].as_secs_f64();
    assert!((0.19..0.21).contains(&at(50)), "{}", at(50));
    assert!((1.8..2.2).contains(&at(99)), "{}", at(99));
    assert!(drawn.last().unwrap().as_secs_f64() <= 8.0);
}

#[test]
fn a_name_says_how_a_model_behaves() {
    let usual = Behaviour { latency: Spread::Fixed(9.0), ..Behaviour::default() };
    let named = usual.by_name(
        "openai/gpt-4.1+slow-500ms+status-429+retry-after-2s+rate-0.5+tokens-300+cached-80",
    );
    assert_eq!(named.latency, Spread::Fixed(0.5));
    let retry_after = Some(Duration::from_secs(2));
    assert_eq!(named.fault, Some(Fault::Status { code: 429, retry_after }));
    assert_eq!(named.error_rate, Some(0.5));
    assert_eq!(named.output_tokens, Some(Spread::Fixed(300.0)));
    assert_eq!(named.cached, 80);
    assert_eq!(usual.by_name("hang").fault, Some(Fault::Hang));
    for plain in ["gpt-4.1-mini", "slow-motion", "status-200", "rate-2", "tokens-many", "a/b/c"] {
        assert_eq!(usual.by_name(plain), usual, "{plain}");
    }
}

#[test]
fn a_word_whose_number_can_not_be_read_is_found() {
    for word in ["slow-2500us", "slow-1..x", "tokens-1k", "status-200", "rate-2", "cached-8.5"] {
        assert_eq!(Behaviour::misread(&format!("a/gpt-4.1+{word}+hang")), Some(word));
    }
    for fine in ["slow-0ms", "slow-motion", "rate-0", "input-0", "retry-after-2s", "gpt-4.1+small"]
    {
        assert_eq!(Behaviour::misread(fine), None, "{fine}");
    }
}

#[test]
fn faults_come_at_their_rate() {
    let flaky = Behaviour { error_rate: Some(0.2), ..Behaviour::default() };
    let failed = (0..10_000).filter(|n| flaky.draw(mix(*n)).fault.is_some()).count();
    assert!((1_800..2_200).contains(&failed), "{failed}");
    let broken = Behaviour { fault: Some(Fault::Cut), ..Behaviour::default() };
    assert!((0..100).all(|n| broken.draw(n).fault == Some(Fault::Cut)));
}

#[test]
fn reported_tokens_are_disjoint_and_within_the_ceiling() {
    let behaviour = Behaviour::default().by_name("tokens-300+cached-80+reasoning-40+input-100");
    let usage = behaviour.usage(7, &say("x", 1000), 200, 0);
    assert_eq!((usage.input, usage.cache_read), (20, 80));
    assert_eq!((usage.output, usage.reasoning), (160, 40));
}
