//! Importing files into memory, and what stages hold of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use serde_json::Value;
use vivremotion::base::clock::HeldClock;
use vivremotion::cli::memory::{Args, tell};
use vivremotion::cli::{Failure, Outcome};
use vivremotion::context::memory::import::{Form, ImportError, Importer, Source, Summary};
use vivremotion::context::memory::local::Local;
use vivremotion::context::memory::shelf::{Ask, Collections, Draft, Embedder, Shelf, ShelfError};
use vivremotion::context::memory::teller::Teller;
use vivremotion::context::memory::words::Language;
use vivremotion::context::memory::{Collection, Memory};
use vivremotion::model::simulated::embedding;
use vivremotion::model::{
    Call, ChatReply, ChatRequest, EmbedRequest, Model, ModelError, ModelErrorKind,
};

// ---- the world of these tests ----

/// An embedder that answers, in turn, as scripted; then always.
#[derive(Default)]
struct Scripted {
    failures: std::sync::Mutex<Vec<ModelErrorKind>>,
    dimensions: u32,
}

#[async_trait]
impl Model for Scripted {
    async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatReply, ModelError> {
        unreachable!("memory does not chat")
    }

    async fn embed(&self, asked: &EmbedRequest, _: &Call) -> Result<Vec<Vec<f32>>, ModelError> {
        assert_eq!(&*asked.model, "embedder");
        if let Some(kind) = self.failures.lock().unwrap().pop() {
            return Err(ModelError { kind, message: "as scripted".into(), retry_after: None });
        }
        Ok(asked.texts.iter().map(|text| embedding::vector(text, self.dimensions)).collect())
    }
}

struct World {
    _folder: tempfile::TempDir,
    embedder: Arc<Scripted>,
    collections: Collections,
}

impl World {
    /// A collection `words` without an embedder and `both` with one, in a file of their own.
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let memory: Arc<dyn Memory> =
            Arc::new(Local::open(&folder.path().join("log.db")).await.unwrap());
        let embedder = Arc::new(Scripted { dimensions: 64, ..Scripted::default() });
        let shelf = |name: &str, model: Option<Arc<Scripted>>| Shelf {
            collection: Arc::new(Collection {
                name: name.into(),
                dimensions: model.as_ref().map(|_| 64),
                text: "text".into(),
                ours: true,
                tenants: true,
                language: Language::English,
            }),
            memory: Arc::clone(&memory),
            embedder: model.map(|model| Embedder { model, name: "embedder".into() }),
        };
        let shelves = [shelf("words", None), shelf("both", Some(Arc::clone(&embedder)))];
        World { _folder: folder, embedder, collections: Collections::new(shelves) }
    }

    async fn import(
        &self,
        collection: &str,
        sources: &[(&str, &str)],
    ) -> Result<Summary, ImportError> {
        let clock = HeldClock::new(0, 1);
        let importer = Importer {
            shelf: self.collections.get(collection).unwrap(),
            tenant: "*".into(),
            teller: Arc::new(Teller::default()),
            clock: &clock,
        };
        let source = |(name, text): &(&str, &str)| Source {
            name: (*name).into(),
            text: (*text).into(),
            form: Form::of(name).unwrap(),
        };
        importer.import(sources.iter().map(source).collect(), &mut |_, _| {}).await
    }

    async fn ask(&self, collection: &str, text: &str) -> Vec<String> {
        let found = self.collections.retrieve(collection, ask(text), &call()).await.unwrap();
        found.into_iter().map(|passage| passage.id).collect()
    }

    async fn tell(&self, arguments: &[&str]) -> (Outcome, String) {
        let arguments = ["memory"].iter().chain(arguments);
        let args = Args::try_parse_from(arguments).unwrap();
        let mut out = Vec::new();
        let outcome = tell(&args, &self.collections, &HeldClock::new(0, 1), &mut out).await;
        (outcome, String::from_utf8(out).unwrap())
    }
}

fn call() -> Call {
    Arc::new(Teller::default()).call("kb", "acme", Duration::from_secs(5))
}

fn ask(text: &str) -> Ask {
    Ask { text: text.into(), tenant: "acme".into(), limit: 5, min_score: None, max_tokens: None }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/memory").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap()
}

fn written(files: u64, passages: u64, forgotten: u64) -> Summary {
    Summary { files, passages, forgotten }
}

// ---- importing ----

#[tokio::test]
async fn files_become_passages_that_are_found() {
    let world = World::new().await;
    let (handbook, faq) = (read("handbook.md"), read("faq.ndjson"));
    let files = [("kb/handbook.md", &*handbook), ("kb/faq.ndjson", &*faq)];
    for collection in ["words", "both"] {
        assert_eq!(world.import(collection, &files).await.unwrap(), written(2, 8, 0));
        let first = async |text: &str| world.ask(collection, text).await.remove(0);
        assert_eq!(first("when is my refund paid to the card?").await, "kb/handbook.md#3");
        assert_eq!(first("warranty of batteries").await, "kb/handbook.md#5");
        assert_eq!(first("how long until parcels arrive").await, "delivery");
        assert_eq!(first("office open").await, "7");
        assert_eq!(first("invoices").await, "kb/faq.ndjson#3");
    }
    let found = world.collections.retrieve("words", ask("refund"), &call()).await.unwrap();
    assert_eq!(found[0].payload["heading"], "Returns > Refunds");
    assert_eq!(found[0].payload["imported_from"], "kb/handbook.md");
    assert!(found[0].text.starts_with("Returns > Refunds\n\nA refund is paid"));
}

#[tokio::test]
async fn importing_again_replaces_and_forgets_what_vanished() {
    let world = World::new().await;
    let three = "# A\nalpha\n# B\nbravo\n# C\ncharlie";
    assert_eq!(world.import("words", &[("a.md", three)]).await.unwrap(), written(1, 3, 0));
    assert_eq!(world.import("words", &[("a.md", three)]).await.unwrap(), written(1, 3, 0));
    assert_eq!(world.import("words", &[("b.md", three)]).await.unwrap(), written(1, 3, 0));
    let two = "# A\nalpha\n# C\ndelta";
    assert_eq!(world.import("words", &[("a.md", two)]).await.unwrap(), written(1, 2, 1));
    assert_eq!(world.ask("words", "charlie").await, ["b.md#3"]);
    assert_eq!(world.ask("words", "delta").await, ["a.md#2"]);
    // A file that has become empty has no passages.
    assert_eq!(world.import("words", &[("a.md", "")]).await.unwrap(), written(1, 0, 2));
    assert_eq!(world.ask("words", "alpha").await, ["b.md#1"]);
}

#[tokio::test]
async fn every_bad_line_is_told_and_nothing_is_written() {
    let world = World::new().await;
    let lines = [
        r#"{"text": "good"}"#,
        "{",
        "[1]",
        r#"{"id": 1}"#,
        r#"{"text": " "}"#,
        r#"{"text": "x", "id": [1]}"#,
        r#"{"text": "x", "id": "twice"}"#,
        r#"{"text": "x", "id": "twice"}"#,
        r#"{"text": "x", "tenant": "acme"}"#,
        r#"{"text": "x", "imported_from": "y"}"#,
    ];
    let error = world.import("words", &[("a.ndjson", &lines.join("\n"))]).await.unwrap_err();
    let told: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
    assert!(told[0].starts_with("a.ndjson:2: no JSON: "), "{}", told[0]);
    assert_eq!(
        told[1..],
        [
            "a.ndjson:3: a line must be a JSON object with `text`",
            "a.ndjson:4: `text` is missing: every passage has one",
            "a.ndjson:5: `text` must be text that is not empty",
            "a.ndjson:6: `id` must be text or a number",
            "a.ndjson:8: `id` `twice` stands in line 7 too: each must be one passage's",
            "a.ndjson:9: field `tenant` is kept by the store: import each tenant's passages by a command of their own, \
             with `--tenant`",
            "a.ndjson:10: field `imported_from` is kept by the store: give it another name",
        ]
    );
    let shelf = world.collections.get("words").unwrap();
    shelf.ensure().await.unwrap();
    assert_eq!(shelf.count().await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_of_the_embedder_is_tried_again_and_a_lasting_one_ends_it() {
    let world = World::new().await;
    *world.embedder.failures.lock().unwrap() =
        vec![ModelErrorKind::RateLimited, ModelErrorKind::Overloaded];
    assert_eq!(world.import("both", &[("a.md", "alpha")]).await.unwrap(), written(1, 1, 0));
    *world.embedder.failures.lock().unwrap() = vec![ModelErrorKind::Overloaded; 4];
    assert!(matches!(
        world.import("both", &[("a.md", "alpha")]).await,
        Err(ImportError::Shelf(ShelfError::Embedder { .. }))
    ));
    *world.embedder.failures.lock().unwrap() = vec![ModelErrorKind::InvalidRequest; 1];
    assert!(world.import("both", &[("a.md", "alpha")]).await.is_err());
    assert!(world.embedder.failures.lock().unwrap().is_empty());
}

// ---- the command ----

#[tokio::test]
async fn the_command_imports_lists_and_searches() {
    let world = World::new().await;
    let (handbook, faq) = (fixture("handbook.md"), fixture("faq.ndjson"));
    let (handbook, faq) = (handbook.to_str().unwrap(), faq.to_str().unwrap());
    let (outcome, said) = world.tell(&["import", "words", handbook, faq]).await;
    outcome.unwrap();
    assert_eq!(said, "8 passages of 2 files in `words`\n");
    let (_, said) =
        world.tell(&["import", "both", faq, "--format", "json", "--tenant", "acme"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["passages"], &said["collection"]), (&3.into(), &"both".into()));
    let (_, said) = world.tell(&["list"]).await;
    assert_eq!(
        said,
        "both  local  by words and vectors of `embedder`  3 passages\nwords  local  by words  8 passages\n"
    );
    let (_, said) = world.tell(&["search", "words", "battery warranty", "--limit", "1"]).await;
    assert!(said.starts_with(&format!("1. {handbook}#5  ")), "{said}");
    assert!(
        said.ends_with(
            "\n   Warranty Machines have a warranty of three years, batteries of one.\n"
        ),
        "{said}"
    );
    let (_, said) = world.tell(&["search", "both", "office", "--tenant", "rival"]).await;
    assert_eq!(said, "nothing found\n");
    let (_, said) =
        world.tell(&["search", "both", "office", "--tenant", "acme", "--format", "json"]).await;
    let first: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!((&first["id"], &first["payload"]["topic"]), (&"7".into(), &"contact".into()));
}

#[tokio::test]
async fn the_command_says_what_is_wrong_with_its_arguments() {
    let world = World::new().await;
    let usage = async |arguments: &[&str]| match world.tell(arguments).await.0 {
        Err(Failure::Usage(message)) => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        usage(&["search", "word", "x"]).await,
        "no collection `word` is declared under `memory.collections`; did you mean `words`?"
    );
    let message = usage(&["import", "words", "missing.md", "picture.png"]).await;
    let lines: Vec<&str> = message.lines().collect();
    assert!(lines[0].starts_with("`missing.md` can't be read: "), "{message}");
    assert_eq!(
        lines[1],
        "`picture.png` ends in none of `.ndjson`, `.jsonl`, `.md`, `.markdown`, `.txt`"
    );
}

// ---- shelves ----

#[tokio::test]
async fn a_list_ends_before_the_passage_that_would_pass_the_ceiling() {
    let world = World::new().await;
    let lines: Vec<String> = (1..=5)
        .map(|n| format!(r#"{{"id": {n}, "text": "{}"}}"#, "valve ".repeat(8 - n).trim()))
        .collect();
    world.import("words", &[("a.ndjson", &lines.join("\n"))]).await.unwrap();
    let cut = async |max_tokens| {
        let ask = Ask { max_tokens: Some(max_tokens), ..ask("valve") };
        world.collections.retrieve("words", ask, &call()).await.unwrap().len()
    };
    // 41, 35, 29, 23 and 17 bytes: 11, 9, 8, 6 and 5 tokens.
    assert_eq!([cut(0).await, cut(10).await, cut(11).await], [0, 0, 1]);
    assert_eq!([cut(27).await, cut(28).await, cut(39).await, cut(1_000).await], [2, 3, 5, 5]);
}

#[tokio::test]
async fn a_draft_is_embedded_unless_it_brings_a_vector_that_fits() {
    let world = World::new().await;
    let draft = |vector| Draft {
        id: "a".into(),
        tenant: "acme".into(),
        text: "valve".into(),
        vector,
        payload: serde_json::Map::new(),
    };
    let point = async |collection, vector| {
        world.collections.point(collection, draft(vector), &call()).await
    };
    assert_eq!(point("both", None).await.unwrap().vector, Some(embedding::vector("valve", 64)));
    assert_eq!(point("both", Some(vec![0.5; 64])).await.unwrap().vector, Some(vec![0.5; 64]));
    assert_eq!(point("words", None).await.unwrap().vector, None);
    let error = point("both", Some(vec![0.5; 3])).await.unwrap_err();
    assert_eq!(error.to_string(), "collection `both` takes vectors of 64 dimensions, not 3");
    let error = point("words", Some(vec![0.5; 3])).await.unwrap_err();
    assert!(error.to_string().contains("has no dense side"), "{error}");
    let error = point("elsewhere", None).await.unwrap_err();
    assert_eq!(error.code(), "unknown-collection");
}

#[tokio::test]
async fn an_embedder_of_other_dimensions_is_told() {
    let world = World::new().await;
    let shelf = world.collections.get("both").unwrap();
    let wide = Arc::new(Scripted { dimensions: 32, ..Scripted::default() });
    let embedder = Some(Embedder { model: wide, name: "embedder".into() });
    let shelf = Shelf { embedder, ..shelf.clone() };
    shelf.ensure().await.unwrap();
    let error = shelf.retrieve(ask("x"), &call()).await.unwrap_err();
    assert_eq!(error.to_string(), "collection `both` takes vectors of 64 dimensions, not 32");
    assert_eq!(error.code(), "vector-mismatch");
    assert!(!error.is_passing());
}

#[tokio::test]
async fn dimensions_that_no_settings_say_are_learned_from_the_embedder() {
    let world = World::new().await;
    let both = world.collections.get("both").unwrap().clone();
    let silent = Collection {
        name: "silent".into(),
        dimensions: None,
        ..Collection::clone(&both.collection)
    };
    let shelf = Shelf { collection: Arc::new(silent), ..both };
    let shelf = shelf.measured(&call()).await.unwrap();
    assert_eq!(shelf.collection.dimensions, Some(64));
    let words = world.collections.get("words").unwrap().clone();
    assert_eq!(words.measured(&call()).await.unwrap().collection.dimensions, None);
}
