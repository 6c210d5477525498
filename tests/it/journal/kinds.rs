//! Whatever a stage asked, of whatever kind it is, is not asked again: models by attempt, services and memory by answer.

use std::net::SocketAddr;

use super::*;
use crate::support::local::LocalWorld;

/// Answers each question in another way, the first one badly, and counts them.
#[derive(Default)]
struct Fickle(AtomicUsize);

impl Fickle {
    fn asked(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Model for Fickle {
    async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatReply, ModelError> {
        let n = self.0.fetch_add(1, Ordering::SeqCst);
        let text = if n == 0 { "no JSON".to_owned() } else { json!({ "n": n }).to_string() };
        Ok(ChatReply { text, finish_reason: "stop".to_owned(), simulated: false })
    }
    async fn embed(&self, request: &EmbedRequest, _: &Call) -> Result<Vec<Vec<f32>>, ModelError> {
        let n = self.0.fetch_add(1, Ordering::SeqCst);
        Ok(vec![vec![n as f32, 1.0]; request.texts.len()])
    }
}

#[tokio::test(start_paused = true)]
async fn models_are_not_asked_again_by_any_kind_of_stage() {
    let schema = r#"{ type: object, required: [n], properties: { n: { type: integer } } }"#;
    for (stage, questions, gives) in [
        ("generate: { model: fickle, prompt: x }".to_owned(), 1, json!("no JSON")),
        (
            "each: { of: event.list }, generate: { model: fickle, prompt: \"{{ item }}\" }"
                .to_owned(),
            3,
            Value::Null,
        ),
        // The answer that did not fit, and its repair.
        (
            format!("extract: {{ model: fickle, prompt: x, schema: {schema} }}"),
            2,
            json!({ "n": 1 }),
        ),
        ("embed: { model: fickle, text: x }".to_owned(), 1, json!([0.0, 1.0])),
    ] {
        let pipeline = format!(
            "source: {{ topic: in, from: earliest }}\n\
             stages:\n\
             \x20 first: {{ {stage} }}\n\
             \x20 second: {{ needs: [first], generate: {{ model: slow, prompt: x }} }}\n\
             sink: {{ topic: out, outputs: [first, second] }}\n"
        );
        let model = Arc::new(Fickle::default());
        let more: Vec<(&str, Arc<dyn Model>)> = vec![("fickle", model.clone())];
        let mut driver = Driver::with(PRICED, &pipeline, 1, Bounds::default(), more).await;
        driver.pipe(Some("k"), json!({ "list": ["a", "b", "c"] })).await;
        // The first stage is done, the second under way.
        driver.advance(Duration::from_secs(2)).await;
        assert_eq!(model.asked(), questions, "{stage}");
        driver.crash().await;
        let result = driver.results(1).await.remove(0);
        assert_eq!(result["status"], "completed", "{stage}: {result}");
        assert_eq!(model.asked(), questions, "{stage}");
        let output = result["outputs"]["first"]["value"].as_str().unwrap();
        if !gives.is_null() {
            let value = serde_json::from_str(output).unwrap_or_else(|_| json!(output));
            assert_eq!(value, gives, "{stage}");
        }
    }
}

/// A service that gives a number, the next one each time.
async fn counting(work: impl AsyncFnOnce(SocketAddr, &AtomicUsize)) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let app = axum::Router::new().fallback(move || {
        let n = count.fetch_add(1, Ordering::SeqCst);
        async move { axum::Json(json!({ "n": n })) }
    });
    tokio::select! {
        () = work(address, &asked) => {}
        _ = axum::serve(listener, app).into_future() => panic!("the server ended"),
    }
}

/// Runs the pipeline `one` over its events once more, as after a crash that came before any commit.
async fn again(world: &LocalWorld) -> Vec<Value> {
    world.commit("vivremotion.one", "in", 0);
    world.run().await;
    world.values("out").await.iter().map(|result| result["outputs"].clone()).collect()
}

#[tokio::test]
async fn a_service_is_not_called_again() {
    counting(async |address, asked| {
        let pipeline = format!(
            "source: {{ topic: in, from: earliest }}\n\
             stages: {{ first: {{ call: {{ url: \"http://{address}/\", body: \"{{{{ event.text }}}}\" }} }} }}\n\
             sink: {{ topic: out }}\n"
        );
        let world = LocalWorld::new("", &[("one", &pipeline)]).await;
        world.send("in", [("a", json!({ "text": "x" })), ("b", json!({ "text": "y" }))]).await;
        world.run().await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        let outputs = again(&world).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert_eq!(outputs.len(), 4);
        for output in &outputs {
            assert_eq!(outputs.iter().filter(|other| *other == output).count(), 2, "{outputs:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn memory_is_not_asked_again() {
    let pipelines = [
        (
            "one",
            "source: { topic: in, from: earliest }\n\
             stages: { first: { retrieve: { collection: notes, query: \"{{ event.text }}\", limit: 5 } } }\n\
             sink: { topic: out }\n",
        ),
        (
            "keep",
            "source: { topic: notes-in, from: earliest }\n\
             stages: { first: { remember: { collection: notes, text: \"{{ event.text }}\", id: \"{{ event.text }}\" } } }\n\
             sink: none\n",
        ),
    ];
    let settings = "memory: { collections: { notes: {} } }\n";
    let world = LocalWorld::new(settings, &pipelines).await;
    world.send("notes-in", [("a", json!({ "text": "the red bicycle" }))]).await;
    world.run().await;
    world.send("in", [("a", json!({ "text": "bicycle" }))]).await;
    world.run().await;
    world.send("notes-in", [("b", json!({ "text": "the blue bicycle" }))]).await;
    world.run().await;
    let outputs = again(&world).await;
    assert_eq!(outputs.len(), 2);
    assert_eq!(outputs[0], outputs[1]);
    assert!(outputs[0].to_string().contains("red"), "{outputs:?}");
    // A new event finds both.
    world.send("in", [("c", json!({ "text": "bicycle" }))]).await;
    world.run().await;
    let results = world.values("out").await;
    assert!(results[2]["outputs"].to_string().contains("blue"), "{results:?}");
}
