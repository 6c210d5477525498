//! What a registry over HTTP that misbehaves does to us; that a good one works is shown in `tests/e2e`.

use axum::http::{StatusCode, header};
use vivremotion::base::secret::Secret;
use vivremotion::codec::CodecErrorKind;
use vivremotion::codec::registry::http::{Access, Config, Http};
use vivremotion::codec::registry::{Registry, Which};

fn at(address: std::net::SocketAddr, access: Access) -> Http {
    let urls = vec![format!("http://{address}/")];
    Http::new(&Config { urls, access, authorities: None, identity: None }).unwrap()
}

/// Answers every call in the same way while `work` runs.
async fn serve<R>(
    answer: (StatusCode, &'static str),
    work: impl AsyncFnOnce(std::net::SocketAddr) -> R,
) -> R {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let json = [(header::CONTENT_TYPE, "application/vnd.schemaregistry.v1+json")];
    let app = axum::Router::new().fallback(move || async move { (answer.0, json, answer.1) });
    tokio::select! {
        done = work(address) => done,
        _ = axum::serve(listener, app).into_future() => panic!("the server ended"),
    }
}

#[tokio::test]
async fn a_registry_that_is_down_or_broken_is_unavailable_and_never_none() {
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let error = at(gone, Access::Open).schema(1).await.unwrap_err();
    assert_eq!(error.kind, CodecErrorKind::Unavailable, "{error}");
    for answer in [
        (StatusCode::NOT_FOUND, "<html>not here</html>"),
        (StatusCode::NOT_FOUND, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#),
        (StatusCode::UNAUTHORIZED, r#"{"error_code":401,"message":"Unauthorized"}"#),
        (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error_code":50001,"message":"store"}"#),
        (StatusCode::SERVICE_UNAVAILABLE, ""),
        (StatusCode::OK, "{"),
        (StatusCode::OK, "{}"),
        (StatusCode::FOUND, ""),
    ] {
        let error = serve(answer, async |address| {
            let registry = at(address, Access::Open);
            registry.find("t-value", Which::Latest).await.unwrap_err();
            registry.find("t-value", Which::Text(r#""int""#)).await.unwrap_err();
            registry.register("t-value", r#""int""#).await.unwrap_err();
            registry.subjects().await.unwrap_err();
            registry.schema(1).await.unwrap_err()
        })
        .await;
        assert_eq!(error.kind, CodecErrorKind::Unavailable, "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    const CHUNK: usize = 1 << 20;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let app = axum::Router::new().fallback(move || async move {
        let chunks = futures::stream::repeat_with(move || {
            counted.fetch_add(CHUNK, Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(vec![b' '; CHUNK])
        });
        axum::body::Body::from_stream(chunks)
    });
    let error = tokio::select! {
        done = async { at(address, Access::Open).schema(1).await } => done.unwrap_err(),
        _ = axum::serve(listener, app).into_future() => panic!("the server ended"),
    };
    assert_eq!(error.kind, CodecErrorKind::Unavailable);
    assert!(error.message.contains("more than 16777216 bytes"), "{error}");
    assert!(sent.load(Ordering::Relaxed) < 64 * CHUNK, "{sent:?} bytes were taken");
}

#[tokio::test]
async fn an_unknown_id_is_none_when_the_registry_says_so_itself() {
    let answer = (StatusCode::NOT_FOUND, r#"{"error_code":40403,"message":"Schema 9 not found"}"#);
    let found = serve(answer, async |address| at(address, Access::Open).schema(9).await).await;
    assert_eq!(found.unwrap(), None);
}

#[tokio::test]
async fn a_schema_of_another_kind_is_unusable_and_a_refusal_has_its_reason() {
    let answer = (StatusCode::OK, r#"{"schemaType":"PROTOBUF","schema":"syntax = \"proto3\";"}"#);
    let error = serve(answer, async |address| at(address, Access::Open).schema(9).await).await;
    assert_eq!(error.unwrap_err().code, "unusable-schema");
    let answer = (StatusCode::CONFLICT, r#"{"error_code":409,"message":"field b has no default"}"#);
    let error = serve(answer, async |address| {
        at(address, Access::Open).register("t-value", r#""int""#).await
    });
    let error = error.await.unwrap_err();
    assert_eq!(error.code, "incompatible-schema");
    assert!(error.message.contains("field b has no default"), "{error}");
}

#[tokio::test]
async fn a_subject_can_not_reach_beyond_its_part_of_the_address() {
    let gone = "127.0.0.1:9".parse().unwrap();
    for subject in ["", "a/../b", "a?b", "a b", "a#b", "%2e"] {
        let error = at(gone, Access::Open).versions(subject).await.unwrap_err();
        assert_eq!(error.code, "bad-subject", "{subject}");
    }
}

#[tokio::test]
async fn a_registry_is_told_who_asks_and_an_error_never_tells_the_password() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().fallback(async |headers: axum::http::HeaderMap| {
        let who = headers.get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
        let told = who.unwrap_or("nobody").to_owned();
        (StatusCode::OK, serde_json::json!([told]).to_string())
    });
    let asked = async {
        let basic = Access::Basic { username: "ai".into(), password: Secret::new("s3cret") };
        let bearer = Access::Bearer(Secret::new("t0ken"));
        let mut told = Vec::new();
        for access in [Access::Open, basic, bearer] {
            told.extend(at(address, access).subjects().await.unwrap());
        }
        told
    };
    let told = tokio::select! {
        told = asked => told,
        _ = axum::serve(listener, app).into_future() => panic!("the server ended"),
    };
    assert_eq!(told, ["nobody", "Basic YWk6czNjcmV0", "Bearer t0ken"]);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = at(gone, Access::Bearer(Secret::new("t0ken"))).subjects().await.unwrap_err();
    assert!(!error.message.contains("t0ken"), "{error}");
}

#[test]
fn settings_that_do_not_fit_are_refused_before_anything_is_asked() {
    let config = Config {
        urls: vec!["http://registry".into()],
        access: Access::Open,
        authorities: None,
        identity: Some(("nonsense".into(), Secret::new("nonsense"))),
    };
    for config in [config.clone(), Config { urls: Vec::new(), identity: None, ..config.clone() }] {
        let Err(error) = Http::new(&config) else { panic!("took {config:?}") };
        assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, "registry-setting"));
    }
}
