//! Memory in Qdrant: the memory room's suite, and what only a server can show.

use std::sync::Arc;

use ::qdrant_client::Payload;
use ::qdrant_client::qdrant::{
    CreateCollectionBuilder, Distance, PointStruct, UpsertPointsBuilder, VectorParamsBuilder,
};
use futures::FutureExt;
use serde_json::{Map, json};
use vivremotion::context::memory::batch::Batched;
use vivremotion::context::memory::local::Local;
use vivremotion::context::memory::qdrant::{Options, Qdrant};
use vivremotion::context::memory::{Collection, Forget, Memory, MemoryErrorKind, Passage, Query};

use crate::services::Need;
use crate::story::{Story, World};

#[macro_use]
#[path = "../it/conformance/memory.rs"]
mod memory;

use memory::{bag_of_words, collection, corpus, ids, point, question};

macro_rules! stories_of_the_suite {
    ($($name:ident,)*) => {
        vec![$(Story {
            name: concat!("in_qdrant_", stringify!($name)),
            needs: &[Need::Qdrant],
            run: |world| memory::$name(Arc::new(opened(&world.qdrant().url()))).boxed_local(),
        }),*]
    };
}

/// This file's stories.
pub fn stories() -> Vec<Story> {
    let mut all: Vec<Story> = memory_behaviours!(stories_of_the_suite);
    all.extend([
        Story {
            name: "both_stores_find_the_same_passages",
            needs: &[Need::Qdrant],
            run: |world| same_in_both(world).boxed_local(),
        },
        Story {
            name: "many_askers_of_qdrant_share_requests_and_get_their_own_answers",
            needs: &[Need::Qdrant],
            run: |world| many_askers(world).boxed_local(),
        },
        Story {
            name: "a_collection_of_another_tool_is_read_and_never_written",
            needs: &[Need::Qdrant],
            run: |world| foreign(world).boxed_local(),
        },
        Story {
            name: "passages_outlive_a_kill_of_qdrant_and_its_absence_is_told",
            needs: &[Need::OwnQdrant],
            run: |world| killed(world).boxed_local(),
        },
    ]);
    all
}

fn opened(url: &str) -> Qdrant {
    Qdrant::new(Options::new(url)).unwrap()
}

/// Each side ranks alike, with its scores. A fused answer is compared by its first passage: those behind it share words
/// with the question equally often, and which of equals a store ranks first is its own affair.
async fn same_in_both(world: &World) {
    let qdrant = opened(&world.qdrant().url());
    let local = Local::open(&world.dir().join("log.db")).await.unwrap();
    let kb = Collection { name: world.name("both").into(), ..collection("", Some(384)) };
    for store in [&qdrant as &dyn Memory, &local] {
        store.ensure(&kb).await.unwrap();
        let points = corpus::passages().into_iter().map(|(id, text)| {
            memory::with_vector(point(&id, &text), Some(bag_of_words(&text, 384)))
        });
        store.remember(&kb, points.collect()).await.unwrap();
    }
    for (text, expected) in corpus::questions() {
        let words = question(&text);
        let vector = Query { vector: Some(bag_of_words(&text, 384)), ..question("") };
        let both = Query { vector: vector.vector.clone(), ..words.clone() };
        for query in [words, vector] {
            let theirs = memory::ask(&qdrant, &kb, query.clone()).await;
            let ours = memory::ask(&local, &kb, query).await;
            let same =
                |(a, b): (&Passage, &Passage)| a.id == b.id && (a.score - b.score).abs() < 1e-4;
            let all = ours.len() == 5 && theirs.len() == 5;
            assert!(
                all && ours.iter().zip(&theirs).all(same),
                "{text}: {ours:?} against {theirs:?}"
            );
            assert_eq!(ours[0].id, expected, "{text}");
        }
        for store in [&qdrant as &dyn Memory, &local] {
            assert_eq!(ids(store, &kb, both.clone()).await[0], expected, "{text}");
        }
    }
}

async fn many_askers(world: &World) {
    let store = Batched::new(Arc::new(opened(&world.qdrant().url())));
    let kb = Collection { name: world.name("askers").into(), ..collection("", None) };
    store.ensure(&kb).await.unwrap();
    let points = corpus::passages().into_iter().map(|(id, text)| point(&id, &text));
    store.remember(&kb, points.collect()).await.unwrap();
    let questions = corpus::questions();
    let asked = questions.iter().map(|(text, _)| ids(&store, &kb, question(text)));
    let answers = futures::future::join_all(asked).await;
    for ((text, expected), found) in questions.iter().zip(answers) {
        assert_eq!(found.first(), Some(expected), "{text}");
    }
}

async fn foreign(world: &World) {
    let url = world.qdrant().url();
    let name = world.name("foreign");
    let theirs =
        ::qdrant_client::Qdrant::from_url(&url).skip_compatibility_check().build().unwrap();
    let made = CreateCollectionBuilder::new(&*name)
        .vectors_config(VectorParamsBuilder::new(2, Distance::Cosine));
    theirs.create_collection(made).await.unwrap();

    let store = opened(&url);
    let kb = Collection {
        name: name.as_str().into(),
        dimensions: Some(2),
        text: "page_content".into(),
        ours: false,
        tenants: false,
        ..collection("", None)
    };
    // Empty: nothing to hold against it.
    store.ensure(&kb).await.unwrap();
    let fields = |id: &str, text: &str| -> Payload {
        let fields = [("page_content", json!(text)), ("id", json!(id)), ("page", json!(3))];
        let values = fields.map(|(name, value)| {
            let value = match value.as_i64() {
                Some(whole) => ::qdrant_client::qdrant::Value::from(whole),
                None => ::qdrant_client::qdrant::Value::from(value.as_str().unwrap().to_owned()),
            };
            (name.to_owned(), value)
        });
        values.into_iter().collect::<std::collections::HashMap<_, _>>().into()
    };
    let points = vec![
        PointStruct::new(7, vec![1.0, 0.0], fields("x", "about valves")),
        PointStruct::new(
            "5c56c793-69f3-4fbf-87e6-c4bf54c28c26",
            vec![0.0, 1.0],
            fields("y", "about pumps"),
        ),
    ];
    theirs.upsert_points(UpsertPointsBuilder::new(&*name, points).wait(true)).await.unwrap();
    store.ensure(&kb).await.unwrap();
    let near = |vector: [f32; 2]| Query { vector: Some(vector.to_vec()), ..question("pumps") };
    let found = memory::ask(&store, &kb, near([0.9, 0.1])).await;
    assert_eq!((found[0].id.as_str(), found[0].text.as_str()), ("7", "about valves"));
    let fields = json!({ "id": "x", "page": 3 });
    assert_eq!(serde_json::Value::Object(found[0].payload.clone()), fields);
    // Ids are the tool's own, and the words of the question say nothing.
    assert_eq!(found[1].id, "5c56c793-69f3-4fbf-87e6-c4bf54c28c26");

    let refused = |result: Result<(), vivremotion::context::memory::MemoryError>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind, MemoryErrorKind::Invalid, "{error}");
        error.message
    };
    let written = store.remember(&kb, vec![point("a", "b")]).await;
    assert!(refused(written).contains("it is read, never written"));
    let forgotten = store.forget(&kb, "acme", Forget::Id("7".into())).await;
    assert!(refused(forgotten).contains("it is read, never written"));
    let wordy = store.query(&kb, vec![question("pumps")]).await.map(|_| ());
    assert!(refused(wordy).contains("give it an `embedder`"));

    let declared = |change: fn(&mut Collection)| {
        let mut declared = kb.clone();
        change(&mut declared);
        let store = &store;
        async move { refused(store.ensure(&declared).await) }
    };
    let message = declared(|kb| kb.text = "content".into()).await;
    assert!(message.contains(r#"their text fields are ["id", "page_content"]"#), "{message}");
    let message = declared(|kb| kb.dimensions = Some(3)).await;
    assert!(message.contains("made with vectors of 2 dimensions"), "{message}");
    assert!(declared(|kb| kb.dimensions = None).await.contains("give it an `embedder`"));
    assert!(declared(|kb| kb.ours = true).await.contains("it has no sparse vector `words`"));
    let message = declared(|kb| kb.name = "never-made".into()).await;
    assert_eq!(message, "there is no collection `never-made` in qdrant");
}

async fn killed(world: &World) {
    let server = world.own_qdrant();
    let store = opened(&server.url());
    let kb = collection("killed", Some(2));
    store.ensure(&kb).await.unwrap();
    let points = ["a", "b"].map(|id| memory::with_vector(point(id, "valve"), Some(vec![1.0, 0.0])));
    store.remember(&kb, points.into()).await.unwrap();
    server.kill();
    for _ in 0..2 {
        let failed = store.query(&kb, vec![question("valve")]).await.unwrap_err();
        assert_eq!(failed.kind, MemoryErrorKind::Unavailable, "{failed}");
    }
    let failed = store.remember(&kb, vec![point("c", "valve")]).await.unwrap_err();
    assert_eq!(failed.kind, MemoryErrorKind::Unavailable, "{failed}");
    server.restart();
    store.ensure(&kb).await.unwrap();
    assert_eq!(store.count(&kb).await.unwrap(), 2);
    let mut found = ids(&store, &kb, question("valve")).await;
    found.sort();
    assert_eq!(found, ["a", "b"]);
    let empty = Map::from_iter([("id".to_owned(), json!("a"))]);
    store.forget(&kb, "acme", Forget::Where(empty)).await.unwrap();
    assert_eq!(store.count(&kb).await.unwrap(), 1);
}
