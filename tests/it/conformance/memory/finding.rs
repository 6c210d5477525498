//! What is found: by words and by meaning, whose passages, how near, in which order.

use super::*;

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
