//! A provider over real HTTP, and the mock server at its other end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vivremotion::model::mock::{self, Config, Script};
use vivremotion::model::{AnswerSchema, ModelErrorKind};

use super::world::{Caller, KEY, LONG, Settings, ask, embed, models_of, until};

#[tokio::test]
async fn the_mock_server_answers_what_the_simulated_provider_answers() {
    let server = mock::start(Config::default()).await.unwrap();
    let models = Settings::new()
        .provider("mock", &server.base_url, None)
        .simulated()
        .model("mock/small")
        .model("simulated/tiny")
        .build();
    let (here, there) = (&models["simulated/tiny"], &models["mock/small"]);
    let schema = AnswerSchema {
        name: "intent".into(),
        schema: json!({ "type": "object", "required": ["label", "note", "score"], "properties": {
            "label": { "enum": ["bug", "billing", "spam"] }, "note": { "type": "string" },
            "score": { "type": "number" } } }),
    };
    let mut with_schema = ask("Press 7 hums. ünïcödé\n\nIs it the belt?");
    with_schema.schema = Some(Arc::new(schema));
    for request in [ask("I was charged twice"), with_schema] {
        let (one, other) = (Caller::new(), Caller::new());
        let simulated = here.chat(&request, &one.call(1, LONG)).await.unwrap();
        let served = there.chat(&request, &other.call(1, LONG)).await.unwrap();
        assert_eq!((simulated.text, simulated.finish_reason), (served.text, served.finish_reason));
        assert!(simulated.simulated && !served.simulated);
        assert_eq!(one.counted.only().usage, other.counted.only().usage);
    }
    let caller = Caller::new();
    let texts = embed(&["double charge", "Grüße aus dem Werk 7"]);
    let simulated = here.embed(&texts, &caller.call(1, LONG)).await.unwrap();
    assert_eq!(simulated, there.embed(&texts, &caller.call(1, LONG)).await.unwrap());
    assert_eq!(simulated[0].len(), 64);
    let [one, other] = caller.counted.attempts().try_into().unwrap();
    assert_eq!((one.usage, one.operation), (other.usage, "embeddings"));
}

#[tokio::test]
async fn the_ledger_knows_who_asked_what_and_what_it_used() {
    let server = mock::start(Config::default()).await.unwrap();
    let models = models_of(&server, &["mock/small+cached-5+reasoning-4"]);
    let model = &models["mock/small+cached-5+reasoning-4"];
    let caller = Caller::new();
    for attempt in [1, 2] {
        model.chat(&ask("same"), &caller.call(attempt, LONG)).await.unwrap();
    }
    let [first, second] = server.ledger.entries().try_into().unwrap();
    assert_eq!((first.ordinal, first.repeat, second.ordinal, second.repeat), (1, 1, 2, 2));
    assert_eq!(first.prompt, "Answer the ticket.\nsame");
    assert_eq!((first.status, first.delivered, first.operation), (Some(200), true, "chat"));
    assert!(first.traceparent.unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    let (key, retried) = (first.idempotency_key.unwrap(), second.idempotency_key.unwrap());
    assert!(key.contains("/answer/3/1/") && retried.contains("/answer/3/2/"), "{key} {retried}");
    let attempt = &caller.counted.attempts()[0];
    assert_eq!((attempt.usage.cache_read, attempt.usage.reasoning), (5, 4));
    assert_eq!(first.prompt_tokens, attempt.usage.input + 5);
    assert_eq!(first.completion_tokens, attempt.usage.output + 4);
    let sums = server.ledger.summary();
    assert_eq!((sums.calls, sums.delivered, sums.open), (2, 2, 0));
    assert_eq!(sums.prompt_tokens, first.prompt_tokens * 2);
}

#[tokio::test]
async fn every_way_to_fail_is_told_apart() {
    use ModelErrorKind::{
        InvalidRequest, Malformed, Overloaded, RateLimited, Timeout, Unauthorised,
    };
    let server = mock::start(Config::default()).await.unwrap();
    let cases = [
        ("mock/status-429+retry-after-2s", RateLimited, Some(Duration::from_secs(2))),
        ("mock/status-500", Overloaded, None),
        ("mock/status-529", Overloaded, None),
        ("mock/status-401", Unauthorised, None),
        ("mock/status-403", Unauthorised, None),
        ("mock/status-400", InvalidRequest, None),
        ("mock/status-404", InvalidRequest, None),
        ("mock/error-body", Overloaded, None),
        ("mock/garbage", Malformed, None),
        ("mock/cut", Malformed, None),
        ("mock/huge", Malformed, None),
        ("mock/hang", Timeout, None),
    ];
    let names: Vec<&str> = cases.iter().map(|(name, _, _)| *name).collect();
    let models = models_of(&server, &names);
    for (name, kind, retry_after) in cases {
        let caller = Caller::new();
        let within = if kind == Timeout { Duration::from_millis(100) } else { LONG };
        let call = caller.call(1, within);
        let chat = models[name].chat(&ask("hello"), &call).await.unwrap_err();
        assert_eq!((&chat.kind, chat.retry_after), (&kind, retry_after), "{name}: {chat}");
        let embedded = models[name].embed(&embed(&["hello"]), &caller.call(1, within)).await;
        assert_eq!(embedded.unwrap_err().kind, kind, "{name}");
        assert_eq!(caller.counted.attempts().len(), 2, "{name}");
        if name == "mock/huge" {
            assert!(chat.message.ends_with("more than 16 MiB"), "it was read to its end: {chat}");
        }
        let shown = format!("{chat} {chat:?} {:?}", caller.counted.attempts());
        for secret in [KEY, "127.0.0.1", "hello"] {
            assert!(!shown.contains(secret), "{name} shows `{secret}`: {shown}");
        }
    }
}

#[tokio::test]
async fn nobody_listening_is_told_from_a_broken_connection() {
    let server = mock::start(Config::default()).await.unwrap();
    let models = models_of(&server, &["mock/small"]);
    server.shutdown().await;
    let caller = Caller::new();
    let error = models["mock/small"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Unreachable);
    assert_eq!(error.message, "provider `mock` can't be reached: connection refused");
    assert!(caller.counted.attempts().is_empty(), "nothing left, so there is no attempt");

    // A listener that takes the connection and drops it.
    let rude = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", rude.local_addr().unwrap());
    let models = Settings::new().provider("rude", &address, None).model("rude/one").build();
    let call = caller.call(1, LONG);
    let request = ask("x");
    let (error, taken) = tokio::join!(models["rude/one"].chat(&request, &call), async {
        let (mut socket, _) = rude.accept().await.unwrap();
        let mut some = [0; 64];
        tokio::io::AsyncReadExt::read(&mut socket, &mut some).await.unwrap()
    });
    assert!(taken > 0);
    assert_eq!(error.unwrap_err().kind, ModelErrorKind::Transport);
    assert_eq!(caller.counted.only().price_status, "unpriced");
}

#[tokio::test]
async fn who_does_not_speak_tls_is_not_reached_over_it() {
    let server = mock::start(Config::default()).await.unwrap();
    let secure = server.base_url.replace("http:", "https:");
    let models = Settings::new().provider("tls", &secure, None).model("tls/one").build();
    let caller = Caller::new();
    let error = models["tls/one"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Unreachable);
    assert_eq!(error.message, "provider `tls` can't be reached: no connection");
    assert_eq!(server.ledger.summary().calls, 0);
    assert!(caller.counted.attempts().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let rude = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", rude.local_addr().unwrap());
    let models = Settings::new().provider("moved", &address, None).model("moved/one").build();
    let caller = Caller::new();
    let call = caller.call(1, LONG);
    let request = ask("x");
    let (error, ()) = tokio::join!(models["moved/one"].chat(&request, &call), async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut socket, _) = rude.accept().await.unwrap();
        let mut some = [0; 4096];
        assert!(socket.read(&mut some).await.unwrap() > 0);
        let reply = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n";
        socket.write_all(reply.as_bytes()).await.unwrap();
    });
    let error = error.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::InvalidRequest);
    assert!(error.message.contains("redirect"), "{error}");
}

#[tokio::test]
async fn a_script_says_how_certain_calls_go() {
    let rules = r#"{ "rules": [
        { "match": { "model": "writer", "prompt": "order 17" }, "times": 2, "do": { "status": 503 } },
        { "match": { "prompt": "refund" }, "do": { "answer": "Done.", "output_tokens": 30 } } ] }"#;
    let script = Script::parse("rules.json", rules).unwrap();
    let server = mock::start(Config { script, ..Config::default() }).await.unwrap();
    let models = models_of(&server, &["mock/writer"]);
    let caller = Caller::new();
    let mut went = Vec::new();
    for attempt in 1..=3 {
        let answer =
            models["mock/writer"].chat(&ask("about order 17"), &caller.call(attempt, LONG)).await;
        went.push(answer.map_err(|error| error.kind.code()).map(|reply| reply.finish_reason));
    }
    assert_eq!(went, [Err("overloaded"), Err("overloaded"), Ok("stop".to_owned())]);
    let reply = models["mock/writer"].chat(&ask("refund"), &caller.call(4, LONG)).await.unwrap();
    assert_eq!(reply.text, "Done.");
    assert_eq!(caller.counted.attempts()[3].usage.output, 30);
}

#[tokio::test]
async fn a_streamed_answer_is_the_same_answer_in_pieces() {
    let server = mock::start(Config::default()).await.unwrap();
    let body = |stream: bool, model: &str| {
        json!({ "model": model, "stream": stream, "stream_options": { "include_usage": true },
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": "Is it the belt?" }] }] })
        .to_string()
    };
    let client = reqwest::Client::new();
    let post = |body: String| {
        client.post(format!("{}/chat/completions", server.base_url)).body(body).send()
    };
    let whole = post(body(false, "small")).await.unwrap().text().await.unwrap();
    let whole: Value = serde_json::from_str(&whole).unwrap();
    let streamed = post(body(true, "small")).await.unwrap();
    assert_eq!(streamed.headers()["content-type"], "text/event-stream");
    let streamed = streamed.text().await.unwrap();
    assert!(streamed.ends_with("data: [DONE]\n\n"));
    let events: Vec<Value> = streamed
        .split("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    let text: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(whole["choices"][0]["message"]["content"], text.as_str());
    assert_eq!(whole["usage"], events.last().unwrap()["usage"]);
    let cut = post(body(true, "small+cut")).await.unwrap();
    assert!(cut.text().await.is_err(), "a cut stream must not look whole");
    let delivered: Vec<bool> =
        server.ledger.entries().iter().map(|entry| entry.delivered).collect();
    assert_eq!(delivered, [true, true, false]);
}

#[tokio::test]
async fn the_ledger_is_a_file_of_lines_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.ndjson");
    let config = Config { ledger: Some(path.clone()), keep: 2, ..Config::default() };
    let server = mock::start(config).await.unwrap();
    let models = models_of(&server, &["mock/small", "mock/hang"]);
    let caller = Caller::new();
    for _ in 0..3 {
        models["mock/small"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap();
    }
    let short = Duration::from_millis(50);
    models["mock/hang"].chat(&ask("x"), &caller.call(1, short)).await.unwrap_err();
    until(&server, |sums| sums.open == 0).await;
    let lines: Vec<Value> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let delivered: Vec<bool> =
        lines.iter().map(|line| line["delivered"].as_bool().unwrap()).collect();
    assert_eq!(delivered, [true, true, true, false]);
    assert_eq!((&lines[3]["status"], &lines[3]["model"]), (&Value::Null, &json!("hang")));
    let page = reqwest::get(format!("{}/ledger", server.url)).await.unwrap().text().await.unwrap();
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["summary"]["calls"], 4);
    assert_eq!(page["summary"]["forgotten"], 2);
    assert_eq!(page["entries"].as_array().unwrap().len(), 2);
    let health = reqwest::get(&server.url).await.unwrap();
    assert!(health.status().is_success());
}

#[tokio::test]
async fn a_server_that_stops_cuts_its_open_calls_and_frees_its_port() {
    let server = mock::start(Config::default()).await.unwrap();
    let models = models_of(&server, &["mock/hang", "mock/small"]);
    let caller = Caller::new();
    let (hang, call, request) = (models["mock/hang"].clone(), caller.call(1, LONG), ask("x"));
    let open = tokio::spawn(async move { hang.chat(&request, &call).await });
    until(&server, |sums| sums.open == 1).await;
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    server.shutdown().await;
    assert!(open.await.unwrap().is_err());
    let again = mock::start(Config { listen: address, ..Config::default() }).await.unwrap();
    models["mock/small"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap();
    drop(again);
}

#[tokio::test]
async fn a_thousand_calls_are_open_at_once() {
    let server = mock::start(Config::default()).await.unwrap();
    let models = models_of(&server, &["mock/hang"]);
    let caller = Caller::new();
    let (model, call) = (models["mock/hang"].clone(), caller.call(1, LONG));
    let calls = tokio::spawn(async move {
        let requests: Vec<_> = (0..1000).map(|n| ask(&format!("number {n}"))).collect();
        futures::future::join_all(requests.iter().map(|request| model.chat(request, &call))).await
    });
    until(&server, |sums| sums.open == 1000).await;
    calls.abort();
    assert!(calls.await.is_err());
    assert_eq!(server.ledger.summary().most_open, 1000);
    assert_eq!(caller.counted.attempts().len(), 1000, "each of them is recorded");
}

#[test]
fn the_command_line_of_the_mock_server_is_understood_or_refused() {
    use clap::Parser;
    use vivremotion::cli::mock_models::Args;
    use vivremotion::model::simulated::behaviour::Fault;
    use vivremotion::model::simulated::spread::Spread;

    let args = |line: &str| Args::try_parse_from(format!("mock-models {line}").split_whitespace());
    let told =
        args("--latency 200ms..2s --output-tokens 300 --error-rate 0.1 --fault 429 --seed 7")
            .unwrap();
    assert_eq!(told.latency, Spread::LogNormal { p50: 0.2, p99: 2.0 });
    assert_eq!(told.output_tokens, Some(Spread::Fixed(300.0)));
    assert_eq!((told.error_rate, told.fault), (Some(0.1), Some(Fault::status(429))));
    assert_eq!(args("--fault cut").unwrap().fault, Some(Fault::Cut));
    for wrong in
        ["--latency soon", "--error-rate 2", "--fault 200", "--fault maybe", "--output-tokens -1"]
    {
        assert!(args(wrong).is_err(), "{wrong}");
    }
}
