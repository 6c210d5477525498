//! What an author may write under each kind key.

use serde::de::value::Error as Wrong;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::*;

const ONE_OF_EACH: [&str; 9] = [
    "generate: { model: small, prompt: hello }",
    "extract: { model: small, prompt: hello, schema: { type: object } }",
    "embed: { model: small, text: hello }",
    "retrieve: { collection: kb, query: hello }",
    "remember: { collection: kb, text: hello }",
    "forget: { collection: kb, id: x }",
    "call: { url: \"http://crm:8080/x\" }",
    "map: { a: 1 }",
    "publish: { topic: commands, value: { a: 1 } }",
];

#[test]
fn every_kind_is_read_under_its_key_and_says_its_verb() {
    for (text, verb) in ONE_OF_EACH.into_iter().zip(StageSpec::KINDS) {
        assert_eq!(spec(text).verb(), verb);
        checked(text);
    }
}

#[test]
fn the_list_of_kinds_is_the_list_of_variants() {
    struct Variants;
    impl<'de> Deserializer<'de> for Variants {
        type Error = Wrong;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
            unreachable!("an enum asks for an enum")
        }
        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            variants: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Wrong> {
            Err(serde::de::Error::custom(variants.join(" ")))
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
        }
    }
    let variants = StageSpec::deserialize(Variants).expect_err("it only lists them").to_string();
    assert_eq!(variants, StageSpec::KINDS.join(" "));
}

#[test]
fn a_kind_key_is_read_beside_other_keys() {
    let read = |text: &str| yaml::parse::<Beside>(&"stage.yaml".into(), text);
    let (beside, _) = read("needs: classify\nforget: { collection: kb, id: x }\n");
    let Beside { needs, kind } = beside.expect("a stage");
    assert_eq!((needs.as_str(), kind.verb()), ("classify", "forget"));
    let StageSpec::Forget(params) = kind else { panic!("another kind") };
    assert_eq!(params.collection.place(), Place { line: 2, column: 23 });
    let (none, found) = read("needs: classify\nforgets: { collection: kb, id: x }\n");
    assert!(none.is_none() && format!("{found:?}").contains("forgets"), "{found:?}");
}

/// A mapping with a common key and a kind key.
struct Beside {
    needs: String,
    kind: StageSpec,
}

impl<'de> Deserialize<'de> for Beside {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Beside;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a stage")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Beside, A::Error> {
                let (mut needs, mut kind) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "needs" => needs = Some(map.next_value()?),
                        key => kind = Some(StageSpec::read(key, &mut map)?),
                    }
                }
                needs.zip(kind).map(|(needs, kind)| Beside { needs, kind }).ok_or_else(short)
            }
        }
        fn short<E: serde::de::Error>() -> E {
            E::custom("needs and one kind")
        }
        deserializer.deserialize_map(Keys)
    }
}

#[test]
fn a_prompt_is_a_text_or_a_list_of_roles() {
    checked(
        "generate: { model: small, prompt: [ { system: be short }, { user: \"{{ event.text }}\" } ] }",
    );
    for wrong in [
        "generate: { model: small, prompt: [ be short ] }",
        "generate: { model: small, prompt: { system: be short } }",
        "generate: { model: small, prompt: [ { system: be short, user: hello } ] }",
    ] {
        let (spec, found) = yaml::parse::<StageSpec>(&"stage.yaml".into(), wrong);
        assert!(spec.is_none(), "{wrong} was read: {found:?}");
    }
}

#[test]
fn history_is_not_a_role_yet() {
    let text = "generate:\n  model: small\n  prompt:\n    - history: session\n    - user: hello";
    assert_eq!(problems(text), [("unknown-role", 4)]);
}

#[test]
fn a_prompt_without_a_user_turn_asks_nothing() {
    let text = "generate: { model: small, prompt: [ { system: be short } ] }";
    assert_eq!(problems(text), [("prompt-without-user", 1)]);
}

#[test]
fn every_problem_of_a_kind_is_told_at_once() {
    let text = "generate:\n  model: larg\n  prompt: { file: prompts/none.md }\n  max_tokens: 0";
    assert_eq!(problems(text), [("unknown-model", 2), ("unreadable-file", 3), ("out-of-range", 4)]);
}

#[test]
fn a_schema_that_is_none_or_points_elsewhere_is_refused() {
    for schema in ["{ type: objekt }", "{ $ref: \"http://localhost:1/schema.json\" }"] {
        let text = format!("extract: {{ model: small, prompt: hello, schema: {schema} }}");
        assert_eq!(problems(&text), [("invalid-schema", 1)], "{schema}");
    }
}

#[test]
fn numbers_of_a_retrieval_have_their_ranges() {
    let text =
        "retrieve: { collection: kb, query: hello, limit: 1001, min_score: 1.5, max_tokens: 0 }";
    assert_eq!(problems(text), [("out-of-range", 1); 3]);
}

#[test]
fn forget_takes_an_id_or_fields() {
    checked("forget: { collection: kb, where: { ticket: \"{{ record.key }}\" } }");
    assert_eq!(problems("forget: { collection: kb }"), [("forget-what", 1)]);
    assert_eq!(
        problems("forget: { collection: kb, id: x, where: { a: 1 } }"),
        [("forget-what", 1)]
    );
    assert_eq!(problems("forget: { collection: kb, where: {} }"), [("empty-where", 1)]);
}

#[test]
fn a_call_goes_to_a_literal_host_with_headers_of_its_own() {
    for (text, code) in [
        ("url: \"http://{{ event.host }}/x\"", "bad-url"),
        ("url: \"http://crm{{ event.host }}/x\"", "bad-url"),
        ("url: \"http://crm@{{ event.host }}/x\"", "bad-url"),
        ("url: \"ftp://crm/x\"", "bad-url"),
        ("url: \"http://me:secret@crm/x\"", "bad-url"),
        ("url: \"http://crm/x\", method: FETCH", "unknown-method"),
        ("url: \"http://crm/x\", method: GET, body: { a: 1 }", "body-not-allowed"),
        ("url: \"http://crm/x\", headers: { Idempotency-Key: mine }", "reserved-header"),
        ("url: \"http://crm/x\", headers: { \"a b\": mine }", "invalid-header"),
    ] {
        assert_eq!(problems(&format!("call: {{ {text} }}")), [(code, 1)], "{text}");
    }
}

#[test]
fn headers_of_the_engine_are_not_published_by_authors() {
    let text = "publish: { topic: t, value: 1, headers: { vivremotion.event_id: x, CE_id: y, traceparent: z } }";
    assert_eq!(problems(text), [("reserved-header", 1); 3]);
}

#[test]
fn facts_tell_what_a_kind_asks_and_does() {
    let facts = |i: usize| checked(ONE_OF_EACH[i]).facts();
    let asks: Vec<usize> = (0..9).filter(|i| !facts(*i).models.is_empty()).collect();
    assert_eq!(asks, [0, 1, 2]);
    let effects: Vec<usize> = (0..9).filter(|i| facts(*i).effect).collect();
    assert_eq!(effects, [4, 5, 6, 8]);
    let services: Vec<usize> = (0..9).filter(|i| facts(*i).service).collect();
    assert_eq!(services, [0, 1, 2, 3, 4, 6]);
    assert_eq!(facts(0).max_tokens, Some(1024));
    assert_eq!(facts(3).collection.as_deref(), Some("kb"));
    assert_eq!(*facts(8).topics[0], *"commands");
}

#[test]
fn a_twin_differs_in_its_model_only() {
    let kind = checked("generate: { model: small, prompt: hello, max_tokens: 7 }");
    let twin = kind.with_model("large".into()).expect("it asks a model");
    assert_eq!(twin.facts().models, ["large".into()]);
    assert_eq!(twin.facts().max_tokens, Some(7));
    assert!(checked("map: { a: 1 }").with_model("large".into()).is_none());
}
