//! What is kept: writing, forgetting, and the collections themselves.

use super::*;

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
