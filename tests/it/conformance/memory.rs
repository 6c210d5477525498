//! The memory room's conformance suite: what every store promises. Each behaviour takes a store and makes collections of
//! its own in it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use vivremotion::context::memory::words::{Language, Words};
use vivremotion::context::memory::{
    Collection, Forget, Memory, MemoryErrorKind, Passage, Point, Query,
};

// The path is written out, since the end-to-end tests include this file from elsewhere.
#[path = "memory/corpus.rs"]
pub mod corpus;

/// Hands the names of all behaviours to a macro that makes tests of them.
macro_rules! memory_behaviours {
    ($make:ident) => {
        $make! {
            a_passage_is_found_by_its_words,
            a_passage_is_found_by_its_meaning,
            both_sides_are_fused_by_rank,
            an_asker_sees_passages_of_its_tenant_and_of_everybody,
            another_tenants_passages_are_never_found,
            without_tenants_everybody_sees_everything,
            writing_again_replaces_the_passage,
            the_same_id_of_two_tenants_is_two_passages,
            what_is_forgotten_by_id_is_gone,
            forgetting_touches_its_own_tenant_alone,
            what_is_forgotten_by_fields_is_gone,
            what_an_import_left_behind_is_gone,
            forgetting_by_what_no_store_can_tell_is_refused,
            the_floor_holds_back_what_is_far,
            the_floor_says_nothing_about_words,
            a_question_without_words_finds_nothing,
            a_limit_is_a_limit,
            passages_in_any_script_are_found,
            fields_come_back_as_they_were_written,
            a_batch_is_answered_in_its_order,
            a_collection_can_be_ensured_again,
            a_collection_of_other_dimensions_is_refused,
            a_vector_of_other_dimensions_is_refused,
            a_collection_that_nobody_made_is_refused,
            fifty_questions_find_their_passage_by_words_alone,
            fifty_questions_find_their_passage_by_words_and_vectors,
        }
    };
}

// ---- what the behaviours are made of ----

/// A collection of its own for one behaviour; the process id keeps runs apart on a server that stays.
pub fn collection(name: &str, dimensions: Option<usize>) -> Collection {
    Collection {
        name: format!("{name}-{}", std::process::id()).into(),
        dimensions,
        text: "text".into(),
        ours: true,
        tenants: true,
        language: Language::English,
    }
}

/// A passage of tenant `acme`.
pub fn point(id: &str, text: &str) -> Point {
    Point {
        id: id.into(),
        tenant: "acme".into(),
        text: text.into(),
        vector: None,
        payload: Map::new(),
    }
}

/// A question of tenant `acme`.
pub fn question(text: &str) -> Query {
    Query { tenant: "acme".into(), text: text.into(), vector: None, limit: 5, min_score: None }
}

/// The point with a vector, or without.
pub fn with_vector(point: Point, vector: Option<Vec<f32>>) -> Point {
    Point { vector, ..point }
}

trait With: Sized {
    fn of(self, tenant: &str) -> Self;
    fn at(self, vector: &[f32]) -> Self;
}

impl With for Point {
    fn of(self, tenant: &str) -> Self {
        Point { tenant: tenant.into(), ..self }
    }
    fn at(self, vector: &[f32]) -> Self {
        Point { vector: Some(vector.to_vec()), ..self }
    }
}

impl With for Query {
    fn of(self, tenant: &str) -> Self {
        Query { tenant: tenant.into(), ..self }
    }
    fn at(self, vector: &[f32]) -> Self {
        Query { vector: Some(vector.to_vec()), ..self }
    }
}

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Asks one question.
pub async fn ask(memory: &dyn Memory, collection: &Collection, query: Query) -> Vec<Passage> {
    let mut answers = memory.query(collection, vec![query]).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// The ids of an answer, in its order.
pub async fn ids(memory: &dyn Memory, collection: &Collection, query: Query) -> Vec<String> {
    ask(memory, collection, query).await.into_iter().map(|passage| passage.id).collect()
}

async fn filled(memory: &dyn Memory, collection: &Collection, points: Vec<Point>) {
    memory.ensure(collection).await.unwrap();
    memory.remember(collection, points).await.unwrap();
}

/// A vector of a text's words, each a direction drawn from its id: the more words two texts share, the nearer they are.
pub fn bag_of_words(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0; dimensions];
    for (term, times) in Words::new(Language::English).count(text).times {
        let mut draw = u64::from(term);
        for _ in 0..16 {
            draw = draw
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let sign = if draw >> 63 == 0 { 1.0 } else { -1.0 };
            vector[(draw >> 33) as usize % dimensions] += sign * f32::from(times).sqrt();
        }
    }
    vector
}

// ---- finding ----

pub async fn a_passage_is_found_by_its_words(memory: Arc<dyn Memory>) {
    let kb = collection("words", None);
    let points = vec![
        point("refunds", "Refunds are paid within ten days to the card that was charged."),
        point("shipping", "Parcels leave the warehouse each morning and are paid by weight."),
        point("passwords", "A forgotten password is reset from the sign-in page."),
    ];
    filled(&*memory, &kb, points).await;
    assert_eq!(memory.count(&kb).await.unwrap(), 3);
    let found = ask(&*memory, &kb, question("How do I reset my PASSWORDS?")).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].id, "passwords");
    assert_eq!(found[0].text, "A forgotten password is reset from the sign-in page.");
    assert!(found[0].score > 0.0);
    // Both have `paid`; the rarer word decides.
    assert_eq!(ids(&*memory, &kb, question("refund paid")).await, ["refunds", "shipping"]);
}

pub async fn a_passage_is_found_by_its_meaning(memory: Arc<dyn Memory>) {
    let kb = collection("meaning", Some(3));
    let points = vec![
        point("a", "one").at(&[1.0, 0.0, 0.0]),
        point("b", "two").at(&[0.0, 3.0, 0.0]),
        point("c", "three").at(&[0.0, 2.0, 2.0]),
    ];
    filled(&*memory, &kb, points).await;
    let found = ask(&*memory, &kb, question("").at(&[0.0, 0.5, 0.1])).await;
    let order: Vec<&str> = found.iter().map(|passage| passage.id.as_str()).collect();
    assert_eq!(order, ["b", "c", "a"]);
    // The cosine, whatever the lengths of the vectors.
    assert!((found[0].score - 0.980_58).abs() < 1e-4, "{}", found[0].score);
    assert!((found[1].score - 0.832_05).abs() < 1e-4, "{}", found[1].score);
}

pub async fn both_sides_are_fused_by_rank(memory: Arc<dyn Memory>) {
    let kb = collection("fused", Some(2));
    let points = vec![
        point("word", "valve valve valve").at(&[0.0, 1.0]),
        point("both", "the valve of the press leaks").at(&[1.0, 0.1]),
        point("near", "something else").at(&[1.0, 0.0]),
        point("neither", "something else").at(&[-1.0, 0.0]),
    ];
    filled(&*memory, &kb, points).await;
    let query = Query { min_score: Some(0.5), ..question("valve") }.at(&[1.0, 0.0]);
    let found = ask(&*memory, &kb, query).await;
    // Second on both sides beats first on one.
    assert_eq!(found[0].id, "both");
    let scores: Vec<f64> = found.iter().map(|passage| passage.score).collect();
    for (score, expected) in scores.iter().zip([2.0 / 61.0, 1.0 / 60.0, 1.0 / 60.0]) {
        assert!((score - expected).abs() < 1e-6, "{scores:?}");
    }
    // Equal scores stand in the order of their keys.
    let mut equals = ["near", "word"];
    equals.sort_by_key(|id| kb.key("acme", id));
    assert_eq!([&*found[1].id, &*found[2].id], equals);
    assert_eq!(found.len(), 3);
}

pub async fn a_question_without_words_finds_nothing(memory: Arc<dyn Memory>) {
    let kb = collection("wordless", None);
    filled(&*memory, &kb, vec![point("a", "some text")]).await;
    for nothing in ["", "  ", "?!", "…", "zebra"] {
        assert_eq!(ids(&*memory, &kb, question(nothing)).await, [""; 0], "{nothing:?}");
    }
    let empty = collection("empty", Some(2));
    memory.ensure(&empty).await.unwrap();
    assert_eq!(ids(&*memory, &empty, question("text").at(&[1.0, 0.0])).await, [""; 0]);
}

pub async fn a_limit_is_a_limit(memory: Arc<dyn Memory>) {
    let kb = collection("limits", Some(2));
    let points =
        (0..20).map(|n| point(&n.to_string(), &"valve ".repeat(n + 1)).at(&[1.0, n as f32]));
    filled(&*memory, &kb, points.collect()).await;
    for limit in [0, 1, 7, 50] {
        let words = Query { limit, ..question("valve") };
        let expected = limit.min(20);
        assert_eq!(ids(&*memory, &kb, words.clone()).await.len(), expected);
        assert_eq!(ids(&*memory, &kb, words.at(&[1.0, 1.0])).await.len(), expected);
        let vector = Query { limit, ..question("") }.at(&[1.0, 1.0]);
        assert_eq!(ids(&*memory, &kb, vector).await.len(), expected);
    }
}

pub async fn passages_in_any_script_are_found(memory: Arc<dyn Memory>) {
    let kb = Collection { language: Language::None, ..collection("scripts", None) };
    let texts = [
        ("greek", "Η αντλία διαρρέει λάδι"),
        ("russian", "Насос протекает маслом"),
        ("japanese", "ポンプから油が漏れる"),
        ("accents", "L’été, la pompe goutte à côté"),
        ("emoji", "🙂 smiles 🙂"),
        ("quotes", "\"quoted\" OR NOT * col:on ^caret (paren) 'single' NEAR"),
    ];
    filled(&*memory, &kb, texts.iter().map(|(id, text)| point(id, text)).collect()).await;
    for (query, id) in [
        ("ΑΝΤΛΊΑ", "greek"),
        ("насос", "russian"),
        ("油", "japanese"),
        ("CÔTÉ", "accents"),
        ("smiles 🙂", "emoji"),
        ("\"near\" AND (caret* OR col:on", "quotes"),
    ] {
        assert_eq!(ids(&*memory, &kb, question(query)).await, [id], "{query}");
    }
}

pub async fn a_batch_is_answered_in_its_order(memory: Arc<dyn Memory>) {
    let kb = collection("batches", Some(2));
    let points = vec![
        point("a", "apple").at(&[1.0, 0.0]),
        point("b", "banana").at(&[0.0, 1.0]),
        point("c", "cherry").of("other").at(&[0.0, 1.0]),
    ];
    filled(&*memory, &kb, points).await;
    let one = |query: Query| Query { limit: 1, ..query };
    let batch = vec![
        one(question("banana")),
        one(question("").at(&[1.0, 0.0])),
        question("nothing"),
        one(question("cherry").of("other")),
        one(question("apple").at(&[1.0, 0.0])),
        question("cherry"),
    ];
    let answers = memory.query(&kb, batch).await.unwrap();
    let first: Vec<_> = answers
        .iter()
        .map(|answer| answer.first().map_or("-", |passage| passage.id.as_str()))
        .collect();
    assert_eq!(first, ["b", "a", "-", "c", "a", "-"]);
    assert_eq!(memory.query(&kb, vec![]).await.unwrap(), Vec::<Vec<Passage>>::new());
}

// ---- tenants ----

pub async fn an_asker_sees_passages_of_its_tenant_and_of_everybody(memory: Arc<dyn Memory>) {
    let kb = collection("tenants", Some(2));
    let points = vec![
        point("own", "valve").at(&[1.0, 0.0]),
        point("shared", "valve valve").of("*").at(&[1.0, 0.1]),
        point("foreign", "valve valve valve").of("rival").at(&[1.0, 0.0]),
    ];
    filled(&*memory, &kb, points).await;
    for query in
        [question("valve"), question("").at(&[1.0, 0.0]), question("valve").at(&[1.0, 0.0])]
    {
        let mut found = ids(&*memory, &kb, query.clone()).await;
        found.sort();
        assert_eq!(found, ["own", "shared"]);
        assert_eq!(ids(&*memory, &kb, query.of("nobody")).await, ["shared"]);
    }
}

pub async fn another_tenants_passages_are_never_found(memory: Arc<dyn Memory>) {
    let kb = collection("isolation", Some(2));
    let points =
        (0..50).map(|n| point(&n.to_string(), "the secret recipe").of("rival").at(&[1.0, 0.0]));
    filled(&*memory, &kb, points.collect()).await;
    for tenant in ["acme", "", "riva", "rival ", "RIVAL", "default"] {
        for query in [
            question("secret recipe"),
            question("").at(&[1.0, 0.0]),
            question("secret recipe").at(&[1.0, 0.0]),
        ] {
            let query = Query { limit: 100, ..query }.of(tenant);
            assert_eq!(ask(&*memory, &kb, query).await, vec![], "tenant {tenant:?}");
        }
    }
    assert_eq!(memory.count(&kb).await.unwrap(), 50);
}

pub async fn without_tenants_everybody_sees_everything(memory: Arc<dyn Memory>) {
    let kb = Collection { tenants: false, ..collection("shared", Some(2)) };
    let points = vec![
        point("a", "valve one").of("acme").at(&[1.0, 0.0]),
        point("b", "valve two").of("rival").at(&[1.0, 0.1]),
    ];
    filled(&*memory, &kb, points).await;
    assert_eq!(ids(&*memory, &kb, question("").of("third").at(&[1.0, 0.0])).await, ["a", "b"]);
    assert_eq!(ids(&*memory, &kb, question("two").of("third")).await, ["b"]);
    memory.remember(&kb, vec![point("a", "lever").of("third").at(&[1.0, 0.0])]).await.unwrap();
    assert_eq!(memory.count(&kb).await.unwrap(), 2);
}

// ---- writing ----

pub async fn writing_again_replaces_the_passage(memory: Arc<dyn Memory>) {
    let kb = collection("replaced", Some(2));
    filled(&*memory, &kb, vec![point("a", "the old words").at(&[1.0, 0.0])]).await;
    assert_eq!(ids(&*memory, &kb, question("").at(&[1.0, 0.0])).await, ["a"]);
    for _ in 0..3 {
        let point = Point { payload: fields(json!({ "n": 2 })), ..point("a", "a new text") };
        memory.remember(&kb, vec![point.at(&[0.0, 1.0])]).await.unwrap();
    }
    assert_eq!(memory.count(&kb).await.unwrap(), 1);
    assert_eq!(ids(&*memory, &kb, question("old words")).await, [""; 0]);
    let found = ask(&*memory, &kb, question("").at(&[0.0, 1.0])).await;
    assert_eq!((found[0].text.as_str(), &found[0].payload["n"]), ("a new text", &json!(2)));
    assert!(found[0].score > 0.999, "{}", found[0].score);
    // Twice in one write: the last one holds.
    let twice = vec![point("b", "first").at(&[1.0, 0.0]), point("b", "second").at(&[1.0, 0.0])];
    memory.remember(&kb, twice).await.unwrap();
    assert_eq!(memory.count(&kb).await.unwrap(), 2);
    assert_eq!(ids(&*memory, &kb, question("second")).await, ["b"]);
    assert_eq!(ids(&*memory, &kb, question("first")).await, [""; 0]);
    memory.remember(&kb, vec![]).await.unwrap();
}

pub async fn the_same_id_of_two_tenants_is_two_passages(memory: Arc<dyn Memory>) {
    let kb = collection("ids", None);
    let points = vec![point("1", "ours").of("acme"), point("1", "theirs").of("rival")];
    filled(&*memory, &kb, points).await;
    assert_eq!(memory.count(&kb).await.unwrap(), 2);
    assert_eq!(ask(&*memory, &kb, question("theirs").of("rival")).await[0].text, "theirs");
    assert_eq!(ask(&*memory, &kb, question("ours")).await[0].text, "ours");
}

pub async fn fields_come_back_as_they_were_written(memory: Arc<dyn Memory>) {
    let kb = collection("fields", None);
    let payload = json!({
        "zeta": "last", "alpha": 1, "big": i64::MAX, "negative": -7, "half": 0.5, "yes": true, "none": null,
        "list": [1, "two", [3.5], { "d": 4, "c": "x" }], "deep": { "b": { "a": {} } }, "текст": "п\u{0}🙂",
        "id": "not this", "tenant": "nor this", "text": "nor that",
    });
    let point = Point { payload: fields(payload), ..point("a", "the text") };
    filled(&*memory, &kb, vec![point]).await;
    let found = ask(&*memory, &kb, question("text")).await.remove(0);
    assert_eq!((found.id.as_str(), found.text.as_str()), ("a", "the text"));
    let expected = json!({
        "alpha": 1, "big": i64::MAX, "deep": { "b": { "a": {} } }, "half": 0.5, "list": [1, "two", [3.5], { "c": "x", "d": 4 }],
        "negative": -7, "none": null, "yes": true, "zeta": "last", "текст": "п\u{0}🙂",
    });
    // As text: the order is part of it, since prompts are made of these fields.
    assert_eq!(Value::Object(found.payload).to_string(), expected.to_string());
}

// ---- forgetting ----

pub async fn what_is_forgotten_by_id_is_gone(memory: Arc<dyn Memory>) {
    let kb = collection("forgotten", Some(2));
    let points = vec![
        point("a", "valve a").at(&[1.0, 0.0]),
        point("b", "valve b").at(&[1.0, 0.1]),
        point("c", "valve c").at(&[1.0, 0.2]),
    ];
    filled(&*memory, &kb, points).await;
    assert_eq!(ids(&*memory, &kb, question("").at(&[1.0, 0.0])).await, ["a", "b", "c"]);
    memory.forget(&kb, "acme", Forget::Id("a".into())).await.unwrap();
    memory.forget(&kb, "acme", Forget::Id("never there".into())).await.unwrap();
    assert_eq!(memory.count(&kb).await.unwrap(), 2);
    assert_eq!(ids(&*memory, &kb, question("").at(&[1.0, 0.0])).await, ["b", "c"]);
    assert_eq!(ids(&*memory, &kb, question("a")).await, [""; 0]);
    // And it can come back.
    memory.remember(&kb, vec![point("a", "lever").at(&[1.0, 0.0])]).await.unwrap();
    assert_eq!(ids(&*memory, &kb, question("lever").at(&[1.0, 0.0])).await, ["a", "b", "c"]);
}

pub async fn forgetting_touches_its_own_tenant_alone(memory: Arc<dyn Memory>) {
    let kb = collection("forgotten-tenants", None);
    let points = vec![
        point("1", "valve").of("acme"),
        point("1", "valve").of("rival"),
        point("1", "valve").of("*"),
    ];
    filled(&*memory, &kb, points).await;
    memory.forget(&kb, "acme", Forget::Id("1".into())).await.unwrap();
    assert_eq!(memory.count(&kb).await.unwrap(), 2);
    memory.forget(&kb, "acme", Forget::Where(fields(json!({ "id": "1" })))).await.unwrap();
    assert_eq!(memory.count(&kb).await.unwrap(), 2);
    memory.forget(&kb, "rival", Forget::Where(fields(json!({ "id": "1" })))).await.unwrap();
    assert_eq!(memory.count(&kb).await.unwrap(), 1);
}

pub async fn what_is_forgotten_by_fields_is_gone(memory: Arc<dyn Memory>) {
    let kb = collection("forgotten-fields", None);
    let with = |id: &str, payload| Point { payload: fields(payload), ..point(id, "valve") };
    let points = vec![
        with("a", json!({ "source": "manual", "page": 1, "tags": ["x", "y"], "state": "draft" })),
        with("b", json!({ "source": "manual", "page": 2, "state": "done" })),
        with("c", json!({ "source": "blog", "page": 1, "tags": ["y"] })),
    ];
    filled(&*memory, &kb, points).await;
    let forget = |wanted: Value| memory.forget(&kb, "acme", Forget::Where(fields(wanted)));
    forget(json!({ "source": "manual", "page": 3 })).await.unwrap();
    forget(json!({ "missing": "manual" })).await.unwrap();
    forget(json!({ "page": "1" })).await.unwrap();
    assert_eq!(memory.count(&kb).await.unwrap(), 3);
    forget(json!({ "source": "manual", "state": "draft" })).await.unwrap();
    let mut left = ids(&*memory, &kb, question("valve")).await;
    left.sort();
    assert_eq!(left, ["b", "c"]);
    forget(json!({ "tags": "y" })).await.unwrap();
    assert_eq!(ids(&*memory, &kb, question("valve")).await, ["b"]);
    forget(json!({ "page": 2 })).await.unwrap();
    assert_eq!(memory.count(&kb).await.unwrap(), 0);
}

pub async fn what_an_import_left_behind_is_gone(memory: Arc<dyn Memory>) {
    let kb = collection("outdated", None);
    let with = |id: &str, file: &str, run: &str| Point {
        payload: fields(json!({ "file": file, "run": run })),
        ..point(id, "valve")
    };
    let points = vec![
        with("m1", "m", "new"),
        with("m2", "m", "old"),
        with("n1", "n", "old"),
        point("x", "valve"),
    ];
    filled(&*memory, &kb, points).await;
    let outdated = Forget::Outdated {
        of: fields(json!({ "file": "m" })),
        current: fields(json!({ "run": "new" })),
    };
    memory.forget(&kb, "acme", outdated).await.unwrap();
    let mut left = ids(&*memory, &kb, question("valve")).await;
    left.sort();
    assert_eq!(left, ["m1", "n1", "x"]);
}

pub async fn forgetting_by_what_no_store_can_tell_is_refused(memory: Arc<dyn Memory>) {
    let kb = collection("unclear", None);
    filled(&*memory, &kb, vec![point("a", "valve")]).await;
    for wanted in [json!({}), json!({ "n": 1.5 }), json!({ "l": ["x"] }), json!({ "a.b": 1 })] {
        let refused = memory.forget(&kb, "acme", Forget::Where(fields(wanted))).await.unwrap_err();
        assert_eq!(refused.kind, MemoryErrorKind::Invalid);
    }
    assert_eq!(memory.count(&kb).await.unwrap(), 1);
}

// ---- the floor ----

pub async fn the_floor_holds_back_what_is_far(memory: Arc<dyn Memory>) {
    let kb = collection("floor", Some(2));
    let points = vec![
        point("near", "one").at(&[1.0, 0.0]),
        point("middle", "two").at(&[1.0, 1.0]),
        point("far", "three").at(&[-1.0, 0.2]),
    ];
    filled(&*memory, &kb, points).await;
    let above = |floor| Query { min_score: Some(floor), ..question("") }.at(&[1.0, 0.0]);
    assert_eq!(ids(&*memory, &kb, above(-1.0)).await, ["near", "middle", "far"]);
    assert_eq!(ids(&*memory, &kb, above(0.5)).await, ["near", "middle"]);
    assert_eq!(ids(&*memory, &kb, above(0.9)).await, ["near"]);
    assert_eq!(ids(&*memory, &kb, above(1.1)).await, [""; 0]);
}

pub async fn the_floor_says_nothing_about_words(memory: Arc<dyn Memory>) {
    let kb = collection("floor-words", Some(2));
    let points = vec![
        point("word", "valve").at(&[-1.0, 0.0]),
        point("near", "other").at(&[1.0, 0.0]),
        point("neither", "third").at(&[0.0, 1.0]),
    ];
    filled(&*memory, &kb, points).await;
    let query = Query { min_score: Some(0.5), ..question("valve") };
    let mut both = ids(&*memory, &kb, query.clone().at(&[1.0, 0.0])).await;
    both.sort();
    assert_eq!(both, ["near", "word"]);
    assert_eq!(ids(&*memory, &kb, query).await, ["word"]);
}

// ---- collections ----

pub async fn a_collection_can_be_ensured_again(memory: Arc<dyn Memory>) {
    let kb = collection("ensured", Some(4));
    for _ in 0..2 {
        memory.ensure(&kb).await.unwrap();
    }
    memory.remember(&kb, vec![point("a", "x").at(&[1.0, 0.0, 0.0, 0.0])]).await.unwrap();
    memory.ensure(&kb).await.unwrap();
    assert_eq!(memory.count(&kb).await.unwrap(), 1);
}

pub async fn a_collection_of_other_dimensions_is_refused(memory: Arc<dyn Memory>) {
    let kb = collection("dimensions", Some(4));
    memory.ensure(&kb).await.unwrap();
    for (dimensions, asked) in [(Some(8), "vectors of 8 dimensions"), (None, "no vectors")] {
        let refused = memory.ensure(&Collection { dimensions, ..kb.clone() }).await.unwrap_err();
        assert_eq!(refused.kind, MemoryErrorKind::Invalid);
        let says = format!(
            "collection `{}` was made with vectors of 4 dimensions, the settings now ask for {asked}: go back to the \
             embedder it was made with, or import into a collection of another name",
            kb.name
        );
        assert_eq!(refused.message, says);
    }
}

pub async fn a_vector_of_other_dimensions_is_refused(memory: Arc<dyn Memory>) {
    let kb = collection("misfits", Some(2));
    memory.ensure(&kb).await.unwrap();
    let refused = memory.remember(&kb, vec![point("a", "x").at(&[1.0])]).await.unwrap_err();
    assert_eq!(refused.kind, MemoryErrorKind::Invalid);
    let refused = memory.query(&kb, vec![question("").at(&[1.0; 3])]).await.unwrap_err();
    assert_eq!(refused.kind, MemoryErrorKind::Invalid);
    assert!(refused.message.contains("takes vectors of 2 dimensions, not 3"), "{refused}");
    let refused = memory.remember(&kb, vec![point("a", "x").at(&[1.0, f32::NAN])]).await;
    assert_eq!(refused.unwrap_err().kind, MemoryErrorKind::Invalid);
    let bare = collection("misfits-bare", None);
    memory.ensure(&bare).await.unwrap();
    let refused = memory.remember(&bare, vec![point("a", "x").at(&[1.0])]).await.unwrap_err();
    assert_eq!(refused.kind, MemoryErrorKind::Invalid);
    assert_eq!(memory.count(&kb).await.unwrap(), 0);
}

pub async fn a_collection_that_nobody_made_is_refused(memory: Arc<dyn Memory>) {
    let kb = collection("never-made", None);
    let refused = memory.query(&kb, vec![question("x")]).await.unwrap_err();
    assert_eq!(refused.kind, MemoryErrorKind::Invalid);
    let refused = memory.remember(&kb, vec![point("a", "x")]).await.unwrap_err();
    assert_eq!(refused.kind, MemoryErrorKind::Invalid);
}

// ---- ranking ----

pub async fn fifty_questions_find_their_passage_by_words_alone(memory: Arc<dyn Memory>) {
    let kb = collection("thousand-words", None);
    filled(
        &*memory,
        &kb,
        corpus::passages().into_iter().map(|(id, text)| point(&id, &text)).collect(),
    )
    .await;
    assert_eq!(memory.count(&kb).await.unwrap(), 1_000);
    for (text, expected) in corpus::questions() {
        let found = ids(&*memory, &kb, question(&text)).await;
        assert_eq!(found.first(), Some(&expected), "{text:?} found {found:?}");
    }
}

pub async fn fifty_questions_find_their_passage_by_words_and_vectors(memory: Arc<dyn Memory>) {
    let kb = collection("thousand-both", Some(384));
    let points = corpus::passages()
        .into_iter()
        .map(|(id, text)| point(&id, &text).at(&bag_of_words(&text, 384)));
    filled(&*memory, &kb, points.collect()).await;
    let batch: Vec<_> = corpus::questions()
        .iter()
        .map(|(text, _)| question(text).at(&bag_of_words(text, 384)))
        .collect();
    let answers = memory.query(&kb, batch).await.unwrap();
    for ((text, expected), found) in corpus::questions().iter().zip(&answers) {
        let found: Vec<_> = found.iter().map(|passage| passage.id.as_str()).collect();
        assert_eq!(found.first(), Some(&expected.as_str()), "{text:?} found {found:?}");
    }
}
