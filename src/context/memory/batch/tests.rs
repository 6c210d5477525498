use std::sync::Mutex;

use serde_json::Map;
use tokio::sync::Semaphore;

use super::*;
use crate::context::memory::words::Language;

/// A store that notes the size of every request, and answers one for each permit.
struct Counting {
    sizes: Mutex<Vec<usize>>,
    permits: Semaphore,
}

#[async_trait]
impl Memory for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }
    async fn ensure(&self, _: &Collection) -> Result<(), MemoryError> {
        Ok(())
    }
    async fn query(&self, _: &Collection, queries: Vec<Query>) -> Answer {
        self.sizes.lock().unwrap().push(queries.len());
        self.permits.acquire().await.unwrap().forget();
        if queries.iter().any(|query| query.text == "bad") {
            let message = "bad".to_owned();
            return Err(MemoryError { kind: MemoryErrorKind::Invalid, message });
        }
        let echo = |query: Query| Passage {
            id: query.text,
            score: 1.0,
            text: String::new(),
            payload: Map::new(),
        };
        Ok(queries.into_iter().map(|query| vec![echo(query)]).collect())
    }
    async fn remember(&self, _: &Collection, _: Vec<Point>) -> Result<(), MemoryError> {
        Ok(())
    }
    async fn forget(&self, _: &Collection, _: &str, _: Forget) -> Result<(), MemoryError> {
        Ok(())
    }
    async fn count(&self, _: &Collection) -> Result<u64, MemoryError> {
        Ok(0)
    }
}

fn store(permits: usize) -> (Arc<Counting>, Arc<Batched>) {
    let counting = Arc::new(Counting { sizes: Mutex::default(), permits: Semaphore::new(permits) });
    let batched = Arc::new(Batched::new(Arc::clone(&counting) as Arc<dyn Memory>));
    (counting, batched)
}

fn collection(name: &str) -> Collection {
    Collection {
        name: name.into(),
        dimensions: None,
        text: "text".into(),
        ours: true,
        tenants: true,
        language: Language::English,
    }
}

fn question(text: &str) -> Query {
    Query { tenant: "t".into(), text: text.into(), vector: None, limit: 1, min_score: None }
}

/// Asks in a task of its own; gives the id that came back.
fn asked(store: &Arc<Batched>, name: &str, text: &str) -> JoinHandle<Result<String, MemoryError>> {
    let (store, collection, query) = (Arc::clone(store), collection(name), question(text));
    tokio::spawn(async move {
        let answers = store.query(&collection, vec![query]).await?;
        Ok(answers[0][0].id.clone())
    })
}

#[tokio::test(start_paused = true)]
async fn questions_that_come_together_go_together() {
    let (counting, store) = store(100);
    let all: Vec<_> = (0..40).map(|n| asked(&store, "kb", &n.to_string())).collect();
    for (n, one) in all.into_iter().enumerate() {
        assert_eq!(one.await.unwrap().unwrap(), n.to_string());
    }
    assert_eq!(*counting.sizes.lock().unwrap(), [32, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_lone_question_does_not_wait() {
    let (_, store) = store(100);
    let start = Instant::now();
    asked(&store, "kb", "a").await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn while_one_is_on_its_way_others_gather_for_the_window() {
    let (counting, store) = store(0);
    let first = asked(&store, "kb", "a");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let second = asked(&store, "kb", "b");
    tokio::time::sleep(Duration::from_millis(1)).await;
    let third = asked(&store, "kb", "c");
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(*counting.sizes.lock().unwrap(), [1, 2]);
    counting.permits.add_permits(2);
    for (one, id) in [(first, "a"), (second, "b"), (third, "c")] {
        assert_eq!(one.await.unwrap().unwrap(), id);
    }
}

#[tokio::test(start_paused = true)]
async fn collections_are_asked_apart_and_a_bad_question_fails_alone() {
    let (counting, store) = store(100);
    let all = [("kb", "a"), ("other", "b"), ("kb", "bad"), ("kb", "c")];
    let all: Vec<_> = all.into_iter().map(|(name, text)| asked(&store, name, text)).collect();
    let mut answers = Vec::new();
    for one in all {
        answers.push(one.await.unwrap().map_err(|error| error.message));
    }
    let bad = Err("bad".to_owned());
    assert_eq!(answers, [Ok("a".into()), Ok("b".into()), bad, Ok("c".into())]);
    let mut sizes = counting.sizes.lock().unwrap().clone();
    sizes.sort();
    assert_eq!(sizes, [1, 1, 1, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn who_stopped_waiting_is_not_asked_for() {
    let (counting, store) = store(0);
    let first = asked(&store, "kb", "a");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let second = asked(&store, "kb", "b");
    tokio::task::yield_now().await;
    second.abort();
    tokio::time::sleep(Duration::from_millis(10)).await;
    counting.permits.add_permits(10);
    first.await.unwrap().unwrap();
    assert_eq!(*counting.sizes.lock().unwrap(), [1]);
}
