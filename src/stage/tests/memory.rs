//! Kinds that read and write memory, with the local store.

use super::*;
use crate::context::memory::local::Local;
use crate::context::memory::shelf::{Embedder, Shelf};
use crate::context::memory::words::Language;
use crate::context::memory::{Collection, Memory, Point};
use crate::stage::{Effect, StageErrorKind};

struct Desktop {
    _folder: tempfile::TempDir,
    store: Arc<Local>,
    collection: Arc<Collection>,
    model: Arc<Scripted>,
    embedder: bool,
}

/// A store with one collection, `kb`; the scripted model embeds into two dimensions.
async fn desktop(embedder: bool) -> Desktop {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Local::open(&folder.path().join("log.db")).await.unwrap());
    let collection = Collection {
        name: "kb".into(),
        dimensions: embedder.then_some(2),
        text: "text".into(),
        ours: true,
        tenants: true,
        language: Language::English,
    };
    store.ensure(&collection).await.unwrap();
    let collection = Arc::new(collection);
    Desktop { _folder: folder, store, collection, model: Arc::default(), embedder }
}

impl Desktop {
    async fn run(&self, text: &str, item: Option<u32>) -> Result<Reply, StageError> {
        let embedder = Embedder { model: self.model.clone(), name: "small".into() };
        let shelf = Shelf {
            collection: self.collection.clone(),
            memory: self.store.clone(),
            embedder: self.embedder.then_some(embedder),
        };
        let wiring = wiring(&self.model, Collections::new([shelf]));
        let stage = build(&checked(text), &wiring);
        stage.run(&scope(), &call_of(item, &Arc::default())).await
    }

    async fn keep(&self, id: &str, tenant: &str, text: &str) {
        let point = Point {
            id: id.into(),
            tenant: tenant.into(),
            text: text.into(),
            vector: None,
            payload: serde_json::Map::from_iter([("title".to_owned(), json!("Help"))]),
        };
        self.store.remember(&self.collection, vec![point]).await.unwrap();
    }
}

#[tokio::test]
async fn retrieve_gives_passages_of_the_tenant_and_of_everybody() {
    let desktop = desktop(false).await;
    desktop.keep("mine", "acme", "an invoice that is wrong is corrected within a day").await;
    desktop.keep("all", "*", "invoices are sent on the first of a month").await;
    desktop.keep("theirs", "other", "a wrong invoice of somebody else").await;
    let text = "retrieve: { collection: kb, query: \"{{ event.text }}\" }";
    let reply = desktop.run(text, None).await.expect("passages");
    let ids: Vec<_> = reply.passages.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["mine", "all"]);
    let first = &reply.value[0];
    assert_eq!(first["id"], "mine");
    assert_eq!(first["payload"]["title"], "Help");
    assert!(first["text"].as_str().unwrap().starts_with("an invoice"));
    assert_eq!(first["score"], json!(reply.passages[0].score));
}

#[tokio::test]
async fn retrieve_keeps_whole_passages_that_fit_its_tokens() {
    let desktop = desktop(false).await;
    for id in ["a", "b", "c"] {
        desktop.keep(id, "*", "wrong invoice text of some forty characters").await;
    }
    let text = "retrieve: { collection: kb, query: \"{{ event.text }}\", max_tokens: 25 }";
    assert_eq!(desktop.run(text, None).await.expect("passages").passages.len(), 2);
}

#[tokio::test]
async fn a_query_without_words_asks_nobody() {
    let desktop = desktop(true).await;
    let text = "retrieve: { collection: kb, query: \" {{ nothing }} \" }";
    let reply = desktop.run(text, None).await.expect("nothing found");
    assert_eq!(reply.value, json!([]));
    assert!(desktop.model.embedded.lock().unwrap().is_empty());
}

#[tokio::test]
async fn remember_embeds_where_it_stands_and_writes_nothing_itself() {
    let desktop = desktop(true).await;
    let text = "remember: { collection: kb, id: \"{{ record.key }}\", text: \"{{ event.text }}\", payload: \"{{ attributes }}\" }";
    let reply = desktop.run(text, None).await.expect("a point");
    assert_eq!(reply.value, json!({ "id": "customer-9" }));
    let point = Point {
        id: "customer-9".into(),
        tenant: "acme".into(),
        text: "my invoice is wrong".into(),
        vector: Some(vec![19.0, 0.25]),
        payload: serde_json::Map::from_iter([("colour".to_owned(), json!("red"))]),
    };
    assert_eq!(reply.effects, [Effect::Remember { collection: "kb".into(), point }]);
    assert_eq!(desktop.store.count(&desktop.collection).await.unwrap(), 0);
}

#[tokio::test]
async fn remember_takes_the_authors_vector() {
    let desktop = desktop(true).await;
    let text = "remember: { collection: kb, id: x, text: hello, vector: \"{{ vector }}\" }";
    let reply = desktop.run(text, None).await.expect("a point");
    let Effect::Remember { point, .. } = &reply.effects[0] else { panic!("{:?}", reply.effects) };
    assert_eq!(point.vector, Some(vec![0.5, -1.0]));
    assert!(desktop.model.embedded.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_an_id_a_passage_belongs_to_event_pipeline_stage_and_item() {
    let desktop = desktop(false).await;
    let text = "remember: { collection: kb, text: hello }";
    let id = |reply: Reply| reply.value["id"].as_str().unwrap().to_owned();
    let event = EventId::new("cluster", "tickets", 0, 7, 1_700_000_000_000);
    let alone = id(desktop.run(text, None).await.expect("a point"));
    assert_eq!(alone, format!("{event}/triage/the_stage"));
    let item = id(desktop.run(text, Some(2)).await.expect("a point"));
    assert_eq!(item, format!("{event}/triage/the_stage/2"));
}

#[tokio::test]
async fn what_can_not_be_remembered_fails_the_stage() {
    let desktop = desktop(true).await;
    for (more, code) in [
        ("id: \"{{ nothing }}\"", "empty-id"),
        ("vector: \"{{ event.text }}\"", "not-a-vector"),
        ("vector: [1, two]", "not-a-vector"),
        ("vector: [1, 2, 3]", "vector-mismatch"),
        ("payload: \"{{ event.text }}\"", "not-a-mapping"),
    ] {
        let text = format!("remember: {{ collection: kb, text: hello, {more} }}");
        let error = desktop.run(&text, None).await.expect_err(more);
        assert_eq!((error.code, &error.kind), (code, &StageErrorKind::Permanent), "{more}");
    }
}

#[test]
fn a_collection_that_is_not_connected_is_told_when_the_stage_is_built() {
    let kind = checked("retrieve: { collection: kb, query: hello }");
    let seat = Seat { pipeline: "triage".into(), stage: "kb".into() };
    let wiring = wiring(&Arc::default(), Collections::default());
    let error = kind.build(&seat, &wiring).err().expect("no such collection");
    assert!(error.to_string().contains("`kb`"), "{error}");
}
