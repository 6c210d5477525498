//! `call` against a real HTTP server on a free port.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::any;

use super::*;
use crate::stage::StageErrorKind;
use crate::stage::http::MAX_ANSWER;

type Seen = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

async fn serve(seen: Seen) -> u16 {
    let handler = move |uri: Uri, headers: HeaderMap, body: Bytes| {
        seen.lock().unwrap().push((uri.to_string(), headers, body));
        let json = [("content-type", "application/json; charset=utf-8")];
        async move {
            match uri.path().trim_start_matches('/') {
                "json" => (json, "{\"name\":\"Ada\"}").into_response(),
                "text" => "hello".into_response(),
                "empty" => StatusCode::NO_CONTENT.into_response(),
                "moved" => (StatusCode::FOUND, [("location", "/json")]).into_response(),
                "busy" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")]).into_response(),
                "broken" => StatusCode::BAD_GATEWAY.into_response(),
                "liar" => (json, "{\"name\":").into_response(),
                "huge" => vec![b'x'; MAX_ANSWER + 1].into_response(),
                "bytes" => vec![0xff, 0xfe].into_response(),
                "never" => std::future::pending().await,
                _ => StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        axum::serve(listener, Router::new().fallback(any(handler))).await.unwrap();
    });
    port
}

struct Called {
    outcome: Result<Reply, StageError>,
    attempts: Vec<Attempt>,
}

async fn call(port: u16, path: &str, more: &str, within: Duration) -> Called {
    let text = format!("call: {{ url: \"http://127.0.0.1:{port}/{path}\"{more} }}");
    let stage = build(&checked(&text), &wiring(&Arc::default(), Collections::default()));
    let books = Arc::new(Books::default());
    let mut call = call_of(Some(3), &books);
    call.deadline = Instant::now() + within;
    let outcome = stage.run(&scope(), &call).await;
    let attempts = books.0.lock().unwrap().drain(..).collect();
    Called { outcome, attempts }
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_answer_is_json_or_text_as_the_service_says() {
    let port = serve(Seen::default()).await;
    for (path, value) in [
        ("json", json!({ "status": 200, "body": { "name": "Ada" } })),
        ("text", json!({ "status": 200, "body": "hello" })),
        ("empty", json!({ "status": 204, "body": null })),
        ("moved", json!({ "status": 302, "body": null })),
    ] {
        let called = call(port, path, "", LONG).await;
        assert_eq!(called.outcome.expect("a value").value, value, "{path}");
        assert_eq!(called.attempts.len(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_request_carries_the_stages_key_the_trace_and_the_authors_part() {
    let seen = Seen::default();
    let port = serve(seen.clone()).await;
    let more =
        ", method: put, headers: { x-id: \"{{ event.id }}\" }, body: { n: \"{{ event.id }}\" }";
    let called = call(port, "json?of={{ event.id }}", more, LONG).await;
    assert!(called.outcome.is_ok());
    let seen = seen.lock().unwrap();
    let (uri, headers, body) = &seen[0];
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    assert_eq!(uri, "/json?of=17");
    let key = EventId::new("cluster", "tickets", 0, 7, 1_700_000_000_000);
    assert_eq!(header("idempotency-key"), format!("{key}/the_stage/3"));
    assert!(header("traceparent").starts_with("00-0af7651916cd43dd"));
    assert_eq!((header("x-id"), header("content-type")), ("17", "application/json"));
    assert_eq!(body, "{\"n\":17}".as_bytes());
}

#[tokio::test]
async fn a_text_with_a_type_of_its_own_is_sent_as_it_is() {
    let seen = Seen::default();
    let port = serve(seen.clone()).await;
    let more = ", headers: { content-type: text/csv }, body: \"a,b,{{ event.id }}\"";
    assert!(call(port, "json", more, LONG).await.outcome.is_ok());
    assert_eq!(seen.lock().unwrap()[0].2, "a,b,17".as_bytes());
}

#[tokio::test]
async fn failures_have_their_class_and_their_attempt() {
    let port = serve(Seen::default()).await;
    for (path, kind, code) in [
        ("busy", StageErrorKind::Transient, "rate-limited"),
        ("broken", StageErrorKind::Transient, "overloaded"),
        ("liar", StageErrorKind::Transient, "malformed-reply"),
        ("none", StageErrorKind::Permanent, "service-refused"),
        ("huge", StageErrorKind::Permanent, "answer-too-large"),
        ("bytes", StageErrorKind::Permanent, "not-text"),
    ] {
        let called = call(port, path, "", LONG).await;
        let error = called.outcome.expect_err(path);
        assert_eq!((&error.kind, error.code), (&kind, code), "{path}");
        assert_eq!(error.retry_after, (path == "busy").then_some(Duration::from_secs(7)), "{path}");
        let attempt = &called.attempts[0];
        assert_eq!((&*attempt.outcome, attempt.price_status), (code, "unpriced"), "{path}");
        assert_eq!((attempt.operation, attempt.amount, attempt.item), ("call", None, Some(3)));
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_at_the_deadline() {
    let port = serve(Seen::default()).await;
    let called = call(port, "never", "", Duration::from_millis(50)).await;
    let error = called.outcome.expect_err("no answer");
    assert_eq!((&error.kind, error.code), (&StageErrorKind::Transient, "timeout"));
    assert_eq!(called.attempts[0].outcome, "timeout");
}

#[tokio::test]
async fn a_call_given_up_in_the_middle_leaves_its_attempt() {
    let seen = Seen::default();
    let port = serve(seen.clone()).await;
    let text = format!("call: {{ url: \"http://127.0.0.1:{port}/never\" }}");
    let stage = build(&checked(&text), &wiring(&Arc::default(), Collections::default()));
    let books = Arc::new(Books::default());
    let (scope, given) = (scope(), call_of(None, &books));
    let arrived = async {
        while seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = stage.run(&scope, &given) => panic!("it never answers"),
        () = arrived => {}
    }
    assert_eq!(books.0.lock().unwrap()[0].outcome, "cancelled");
}

#[tokio::test]
async fn a_service_where_nobody_listens_is_down_and_costs_no_attempt() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let called = call(port, "json", "", LONG).await;
    let error = called.outcome.expect_err("nobody listens");
    assert!(matches!(error.kind, StageErrorKind::Down(_)), "{error:?}");
    assert!(!error.message.contains("127.0.0.1"), "{error}");
    assert!(called.attempts.is_empty());
}

#[tokio::test]
async fn what_an_event_brings_does_not_change_where_a_request_goes() {
    let seen = Seen::default();
    let port = serve(seen.clone()).await;
    for path in ["users/{{ event.evil }}", "a/%2e%2e/{{ event.id }}", "a/{{ event.text }}"] {
        let error = call(port, path, "", LONG).await.outcome.expect_err(path);
        assert_eq!(error.code, "unsafe-url", "{path}");
    }
    assert!(seen.lock().unwrap().is_empty());
}
