//! The memory suite against the local store, and what only a store in a file must show.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use vivremotion::context::memory::batch::Batched;
use vivremotion::context::memory::local::Local;
use vivremotion::context::memory::words::Language;
use vivremotion::context::memory::{Collection, Forget, Memory, MemoryErrorKind, Point, Query};

use super::memory::{self, ask, collection, ids, point, question};

type Behaviour = fn(Arc<dyn Memory>) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! tests_of_the_local_store {
    ($($name:ident,)*) => {
        const BEHAVIOURS: &[Behaviour] = &[$(|store| Box::pin(memory::$name(store))),*];

        $(#[tokio::test]
        async fn $name() {
            let folder = tempfile::tempdir().unwrap();
            memory::$name(Arc::new(opened(&file(&folder)).await)).await;
        })*
    };
}
memory_behaviours!(tests_of_the_local_store);

fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("log.db")
}

async fn opened(path: &Path) -> Local {
    Local::open(path).await.unwrap()
}

fn at(point: Point, vector: [f32; 2]) -> Point {
    memory::with_vector(point, Some(vector.to_vec()))
}

fn near(vector: [f32; 2]) -> Query {
    Query { vector: Some(vector.to_vec()), ..question("") }
}

#[tokio::test]
async fn every_behaviour_holds_when_nothing_fits_into_memory() {
    for behaviour in BEHAVIOURS {
        let folder = tempfile::tempdir().unwrap();
        behaviour(Arc::new(Local::with_cache(&file(&folder), 0).await.unwrap())).await;
    }
}

#[tokio::test]
async fn every_behaviour_holds_behind_the_batcher() {
    for behaviour in BEHAVIOURS {
        let folder = tempfile::tempdir().unwrap();
        behaviour(Arc::new(Batched::new(Arc::new(opened(&file(&folder)).await)))).await;
    }
}

#[tokio::test]
async fn what_was_written_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let kb = collection("again", Some(2));
    let first = opened(&file(&folder)).await;
    first.ensure(&kb).await.unwrap();
    first.remember(&kb, vec![at(point("a", "the valve"), [1.0, 0.0])]).await.unwrap();
    drop(first);
    let second = opened(&file(&folder)).await;
    second.ensure(&kb).await.unwrap();
    assert_eq!(ids(&second, &kb, question("valves")).await, ["a"]);
    assert_eq!(ids(&second, &kb, near([1.0, 0.0])).await, ["a"]);
}

#[tokio::test]
async fn a_process_sees_what_another_one_wrote_and_forgot() {
    let folder = tempfile::tempdir().unwrap();
    let kb = collection("shared-file", Some(2));
    let (ours, theirs) = (opened(&file(&folder)).await, opened(&file(&folder)).await);
    ours.ensure(&kb).await.unwrap();
    let write = |id: &str, vector| vec![at(point(id, "valve"), vector)];
    ours.remember(&kb, write("a", [1.0, 0.0])).await.unwrap();
    ours.remember(&kb, write("b", [1.0, 0.5])).await.unwrap();
    assert_eq!(ids(&ours, &kb, near([1.0, 0.0])).await, ["a", "b"]);
    // Held vectors must follow a new passage, a moved one, a lost one, and one that took a lost one's place.
    theirs.remember(&kb, write("c", [1.0, 0.1])).await.unwrap();
    assert_eq!(ids(&ours, &kb, near([1.0, 0.0])).await, ["a", "c", "b"]);
    theirs.remember(&kb, write("a", [0.0, 1.0])).await.unwrap();
    assert_eq!(ids(&ours, &kb, near([1.0, 0.0])).await, ["c", "b", "a"]);
    theirs.forget(&kb, "acme", Forget::Id("c".into())).await.unwrap();
    assert_eq!(ids(&ours, &kb, near([1.0, 0.0])).await, ["b", "a"]);
    theirs.forget(&kb, "acme", Forget::Id("a".into())).await.unwrap();
    theirs.remember(&kb, write("d", [1.0, 0.0])).await.unwrap();
    assert_eq!(ids(&ours, &kb, near([1.0, 0.0])).await, ["d", "b"]);
    // More changes than are remembered one by one.
    for _ in 0..1_100 {
        theirs.remember(&kb, write("e", [-1.0, 0.0])).await.unwrap();
    }
    theirs.forget(&kb, "acme", Forget::Id("b".into())).await.unwrap();
    assert_eq!(ids(&ours, &kb, near([1.0, 0.0])).await, ["d", "e"]);
}

#[tokio::test]
async fn passages_are_found_after_all_of_them_were_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&file(&folder)).await;
    let kb = collection("rewritten", Some(2));
    store.ensure(&kb).await.unwrap();
    for round in 0..3 {
        // The passage that is near, and has the word, is another one in each round.
        let points = (0..2_000).map(|n| match n == round * 500 + 7 {
            true => at(point(&n.to_string(), "walrus"), [1.0, 0.0]),
            false => at(point(&n.to_string(), "some seal"), [-1.0, n as f32]),
        });
        store.remember(&kb, points.collect()).await.unwrap();
        let near = ids(&store, &kb, Query { limit: 1, ..near([1.0, 0.0]) }).await;
        assert_eq!(near, [(round * 500 + 7).to_string()]);
        assert_eq!(ids(&store, &kb, question("walrus")).await, near);
    }
    assert_eq!(store.count(&kb).await.unwrap(), 2_000);
}

#[tokio::test]
async fn words_that_are_in_every_passage_do_not_change_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&file(&folder)).await;
    let kb = collection("common", None);
    store.ensure(&kb).await.unwrap();
    let points = (0..300).map(|n| {
        let rare = if n % 50 == 7 { "walrus" } else { "seal" };
        point(&n.to_string(), &format!("the {rare} of the sea and {}", "the water ".repeat(n % 9)))
    });
    store.remember(&kb, points.collect()).await.unwrap();
    // With and without the words that are cut short: the same passages first.
    let plain = ids(&store, &kb, question("walrus")).await;
    assert_eq!(plain.len(), 5);
    let wordy = ask(&store, &kb, question("and the sea of the walrus")).await;
    let mut found: Vec<_> = wordy.iter().map(|passage| passage.id.clone()).collect();
    let mut expected = plain;
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    assert!(wordy.is_sorted_by(|a, b| a.score >= b.score));
}

#[tokio::test]
async fn a_collection_of_another_tool_or_another_language_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&file(&folder)).await;
    let kb = collection("languages", None);
    let foreign = Collection { ours: false, ..kb.clone() };
    let refused = store.ensure(&foreign).await.unwrap_err();
    assert_eq!(refused.kind, MemoryErrorKind::Invalid);
    assert!(refused.message.contains("declared as another tool's"), "{refused}");
    store.ensure(&kb).await.unwrap();
    let german = Collection { language: Language::German, ..kb.clone() };
    let refused = store.ensure(&german).await.unwrap_err();
    assert!(refused.message.contains("made with words in `english`"), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(file(&folder), "this is no database, but a text of some length ".repeat(100))
        .unwrap();
    let failed = Local::open(&file(&folder)).await.err().unwrap();
    assert_eq!(failed.kind, MemoryErrorKind::Unavailable);
    // A folder that can't be made, since a file is in its place.
    let failed = Local::open(&file(&folder).join("log.db")).await.err().unwrap();
    assert_eq!(failed.kind, MemoryErrorKind::Unavailable);
}

#[tokio::test]
async fn a_server_that_nobody_runs_is_unavailable() {
    use vivremotion::context::memory::qdrant::{Options, Qdrant};
    // A port that was free a moment ago, and that nobody listens to.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let options = Options { timeout: Duration::from_secs(5), ..Options::new(url) };
    let store = Qdrant::new(options).unwrap();
    let kb = collection("nobody", None);
    let failures = [
        store.ensure(&kb).await.unwrap_err(),
        store.query(&kb, vec![question("x")]).await.unwrap_err(),
        store.remember(&kb, vec![point("a", "x")]).await.unwrap_err(),
    ];
    for failed in failures {
        assert_eq!(failed.kind, MemoryErrorKind::Unavailable);
        assert_eq!(failed.message, "qdrant is not reachable");
    }
    assert!(Qdrant::new(Options::new("no address at all")).is_err());
}
