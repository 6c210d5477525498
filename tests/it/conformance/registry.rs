//! The registry room's conformance suite. [`suite`] takes any member; `tests/e2e` calls it for HTTP.

use vivremotion::codec::CodecErrorKind;
use vivremotion::codec::avro::shipped;
use vivremotion::codec::registry::{Registry, Verdict, Which};

/// A record of fields, each with its type and default as JSON.
fn record(fields: &[(&str, &str, Option<&str>)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, ty, default)| match default {
            Some(default) => format!(r#"{{"name":"{name}","type":{ty},"default":{default}}}"#),
            None => format!(r#"{{"name":"{name}","type":{ty}}}"#),
        })
        .collect();
    format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","))
}

/// All promises of the room. `prefix` keeps the subjects of this run apart from others in the same registry.
pub async fn suite(registry: &dyn Registry, prefix: &str) {
    an_id_means_the_schema_that_was_registered(registry, prefix).await;
    the_same_schema_has_the_same_id(registry, prefix).await;
    versions_count_up_and_latest_is_the_last(registry, prefix).await;
    what_is_not_there_is_none_and_no_error(registry, prefix).await;
    an_incompatible_schema_is_refused_and_a_compatible_one_is_not(registry, prefix).await;
    what_is_no_schema_is_refused(registry, prefix).await;
    the_shipped_schemas_are_taken(registry, prefix).await;
}

async fn an_id_means_the_schema_that_was_registered(registry: &dyn Registry, prefix: &str) {
    let (one, two) = (record(&[("a", r#""int""#, None)]), r#""string""#);
    let first = registry.register(&format!("{prefix}-one-value"), &one).await.unwrap();
    let second = registry.register(&format!("{prefix}-two-value"), two).await.unwrap();
    assert_ne!(first, second);
    for (id, text) in [(first, one.as_str()), (second, two)] {
        let schema = registry.schema(id).await.unwrap().unwrap();
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&schema.text), json(text));
        assert!(schema.references.is_empty());
    }
}

async fn the_same_schema_has_the_same_id(registry: &dyn Registry, prefix: &str) {
    let subject = format!("{prefix}-same-value");
    let text = record(&[("a", r#""long""#, None)]);
    let blanks = text.replace(',', " ,\n ");
    let first = registry.register(&subject, &text).await.unwrap();
    assert_eq!(registry.register(&subject, &text).await.unwrap(), first);
    let found = registry.find(&subject, Which::Text(&text)).await.unwrap().unwrap();
    assert_eq!((found.id, found.number), (first, 1));
    let found = registry.find(&subject, Which::Text(&blanks)).await.unwrap();
    assert_eq!(found.map(|version| version.id), Some(first), "blanks are no other schema");
    assert_eq!(registry.versions(&subject).await.unwrap(), [1]);
}

async fn versions_count_up_and_latest_is_the_last(registry: &dyn Registry, prefix: &str) {
    let subject = format!("{prefix}-versions-value");
    let texts = [
        record(&[("a", r#""int""#, None)]),
        record(&[("a", r#""int""#, None), ("b", r#""int""#, Some("0"))]),
        record(&[
            ("a", r#""int""#, None),
            ("b", r#""int""#, Some("0")),
            ("c", r#"["null","string"]"#, Some("null")),
        ]),
    ];
    let mut ids = Vec::new();
    for text in &texts {
        ids.push(registry.register(&subject, text).await.unwrap());
    }
    assert_eq!(registry.versions(&subject).await.unwrap(), [1, 2, 3]);
    let latest = registry.find(&subject, Which::Latest).await.unwrap().unwrap();
    assert_eq!((latest.number, latest.id), (3, ids[2]));
    let second = registry.find(&subject, Which::Number(2)).await.unwrap().unwrap();
    assert_eq!((second.number, second.id), (2, ids[1]));
    assert!(registry.subjects().await.unwrap().contains(&subject));
}

async fn what_is_not_there_is_none_and_no_error(registry: &dyn Registry, prefix: &str) {
    assert_eq!(registry.schema(2_000_000_000).await.unwrap(), None);
    let nowhere = format!("{prefix}-nowhere-value");
    assert_eq!(registry.find(&nowhere, Which::Latest).await.unwrap(), None);
    assert_eq!(registry.find(&nowhere, Which::Number(1)).await.unwrap(), None);
    assert_eq!(registry.find(&nowhere, Which::Text(r#""int""#)).await.unwrap(), None);
    assert!(registry.versions(&nowhere).await.unwrap().is_empty());
    let somewhere = format!("{prefix}-somewhere-value");
    registry.register(&somewhere, r#""int""#).await.unwrap();
    assert_eq!(registry.find(&somewhere, Which::Number(9)).await.unwrap(), None);
    assert_eq!(registry.find(&somewhere, Which::Text(r#""long""#)).await.unwrap(), None);
}

async fn an_incompatible_schema_is_refused_and_a_compatible_one_is_not(
    registry: &dyn Registry,
    prefix: &str,
) {
    let subject = format!("{prefix}-grow-value");
    registry.register(&subject, &record(&[("a", r#""int""#, None)])).await.unwrap();
    let without_default = record(&[("a", r#""int""#, None), ("b", r#""int""#, None)]);
    let verdict = registry.check(&subject, &without_default).await.unwrap();
    assert!(matches!(verdict, Verdict::Incompatible(_)), "{verdict:?}");
    let error = registry.register(&subject, &without_default).await.unwrap_err();
    assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, "incompatible-schema"));
    assert!(error.message.contains(&subject), "{error}");
    assert_eq!(registry.versions(&subject).await.unwrap(), [1], "nothing was registered");
    let with_default = record(&[("a", r#""int""#, None), ("b", r#""int""#, Some("7"))]);
    assert_eq!(registry.check(&subject, &with_default).await.unwrap(), Verdict::Compatible);
    registry.register(&subject, &with_default).await.unwrap();
    let unheard = format!("{prefix}-unheard-value");
    assert_eq!(registry.check(&unheard, &without_default).await.unwrap(), Verdict::Compatible);
    assert!(registry.versions(&unheard).await.unwrap().is_empty(), "a check registers nothing");
}

async fn what_is_no_schema_is_refused(registry: &dyn Registry, prefix: &str) {
    let subject = format!("{prefix}-broken-value");
    for text in ["", "{", r#"{"type":"recrod"}"#, r#""unknown""#, "[[\"null\"]]"] {
        let error = registry.register(&subject, text).await.unwrap_err();
        assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, "unusable-schema"));
    }
    assert!(registry.versions(&subject).await.unwrap().is_empty());
}

async fn the_shipped_schemas_are_taken(registry: &dyn Registry, prefix: &str) {
    for (name, text) in shipped::ALL {
        let subject = format!("{prefix}-{name}-value");
        let id = registry.register(&subject, text).await.unwrap();
        let found = registry.find(&subject, Which::Text(text)).await.unwrap().unwrap();
        assert_eq!(found.id, id, "{name}");
    }
}

mod embedded {
    use super::*;
    use vivremotion::codec::registry::embedded::Embedded;

    #[tokio::test]
    async fn the_embedded_registry_keeps_the_promises_of_the_room() {
        suite(&Embedded::in_memory().unwrap(), "here").await;
    }

    #[tokio::test]
    async fn the_embedded_registry_is_still_there_when_it_is_opened_again_and_shared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let id = Embedded::open(&path).unwrap().register("t-value", r#""int""#).await.unwrap();
        let (one, two) = (Embedded::open(&path).unwrap(), Embedded::open(&path).unwrap());
        assert_eq!(one.find("t-value", Which::Latest).await.unwrap().unwrap().id, id);
        let other = one.register("u-value", r#""long""#).await.unwrap();
        assert!(two.schema(other).await.unwrap().is_some());
        let both = tokio::join!(
            one.register("v-value", r#""float""#),
            two.register("v-value", r#""float""#)
        );
        assert_eq!(both.0.unwrap(), both.1.unwrap());
    }

    #[tokio::test]
    async fn a_file_that_is_no_registry_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "x".repeat(10_000)).unwrap();
        let Err(error) = Embedded::open(&path) else { panic!("opened") };
        assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, "registry-setting"));
        assert!(error.message.contains("notes.txt"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap().len(), 10_000, "it was left alone");
    }

    /// Verdicts as Avro's specification of schema resolution gives them.
    #[tokio::test]
    async fn compatibility_is_as_the_specification_of_avro_says() {
        let int = r#""int""#;
        let (ab, abc) = (
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
            r#"{"type":"enum","name":"E","symbols":["A","B","C"]}"#,
        );
        let abd = r#"{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}"#;
        let list = |of: &str| {
            format!(
                r#"{{"type":"record","name":"L","fields":[{{"name":"v","type":"{of}"}},
                    {{"name":"next","type":["null","L"],"default":null}}]}}"#
            )
        };
        let aliased =
            r#"{"type":"record","name":"R","fields":[{"name":"z","aliases":["a"],"type":"int"}]}"#;
        let pairs: Vec<(String, String, bool)> = [
            (int, r#""long""#, true),
            (int, r#""double""#, true),
            (r#""long""#, int, false),
            (r#""float""#, r#""double""#, true),
            (r#""double""#, r#""float""#, false),
            (r#""string""#, r#""bytes""#, true),
            (int, r#""string""#, false),
            (int, r#"["null","int"]"#, true),
            (r#"["null","int"]"#, int, false),
            (r#"["null","int"]"#, r#"["null","long","string"]"#, true),
            (r#"["null","string"]"#, r#"["null","int"]"#, false),
            (ab, abc, true),
            (abc, ab, false),
            (abc, abd, true),
            (r#"{"type":"array","items":"int"}"#, r#"{"type":"array","items":"long"}"#, true),
            (r#"{"type":"map","values":"long"}"#, r#"{"type":"map","values":"int"}"#, false),
            (
                r#"{"type":"fixed","name":"F","size":4}"#,
                r#"{"type":"fixed","name":"F","size":8}"#,
                false,
            ),
        ]
        .map(|(old, new, fits)| (old.to_owned(), new.to_owned(), fits))
        .into_iter()
        .chain([
            (record(&[("a", int, None), ("b", int, None)]), record(&[("a", int, None)]), true),
            (record(&[("a", int, None)]), record(&[("a", int, None), ("b", int, None)]), false),
            (record(&[("a", int, None)]), record(&[("b", int, None)]), false),
            (record(&[("a", int, None)]), aliased.to_owned(), true),
            (list("int"), list("long"), true),
            (list("long"), list("int"), false),
        ])
        .collect();
        for (at, (old, new, fits)) in pairs.iter().enumerate() {
            let registry = Embedded::in_memory().unwrap();
            registry.register("t-value", old).await.unwrap();
            let verdict = registry.check("t-value", new).await.unwrap();
            assert_eq!(verdict == Verdict::Compatible, *fits, "{at}: {old} → {new}: {verdict:?}");
        }
    }
}

/// What a registry that misbehaves does to us; that a good one works is shown in `tests/e2e`.
mod http {
    use super::*;
    use axum::http::{StatusCode, header};
    use vivremotion::base::secret::Secret;
    use vivremotion::codec::registry::http::{Access, Config, Http};

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
    async fn an_unknown_id_is_none_when_the_registry_says_so_itself() {
        let answer =
            (StatusCode::NOT_FOUND, r#"{"error_code":40403,"message":"Schema 9 not found"}"#);
        let found = serve(answer, async |address| at(address, Access::Open).schema(9).await).await;
        assert_eq!(found.unwrap(), None);
    }

    #[tokio::test]
    async fn a_schema_of_another_kind_is_unusable_and_a_refusal_has_its_reason() {
        let answer =
            (StatusCode::OK, r#"{"schemaType":"PROTOBUF","schema":"syntax = \"proto3\";"}"#);
        let error = serve(answer, async |address| at(address, Access::Open).schema(9).await).await;
        assert_eq!(error.unwrap_err().code, "unusable-schema");
        let answer =
            (StatusCode::CONFLICT, r#"{"error_code":409,"message":"field b has no default"}"#);
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
        for config in
            [config.clone(), Config { urls: Vec::new(), identity: None, ..config.clone() }]
        {
            let Err(error) = Http::new(&config) else { panic!("took {config:?}") };
            assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, "registry-setting"));
        }
    }
}
