//! A registry over HTTP: the registry room's suite, schemas that refer to others, and one that goes away.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use serde_json::json;
use vivremotion::codec::registry::Registry as _;
use vivremotion::codec::registry::http::{Access, Config, Http};
use vivremotion::codec::{CodecErrorKind, Codecs, Format};

use crate::services::Need;
use crate::story::{Story, World};

#[path = "../it/conformance/registry/suite.rs"]
mod suite;

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story {
            name: "a_registry_over_http_keeps_the_promises_of_the_room",
            needs: &[Need::Registry],
            run: |world| promises(world).boxed_local(),
        },
        Story {
            name: "a_schema_that_refers_to_another_subject_is_read_whole",
            needs: &[Need::Registry],
            run: |world| references(world).boxed_local(),
        },
        Story {
            name: "a_registry_that_goes_away_stops_nothing_that_it_was_asked_before",
            needs: &[Need::OwnRegistry],
            run: |world| gone(world).boxed_local(),
        },
    ]
}

fn http(url: String) -> Http {
    let config =
        Config { urls: vec![url], access: Access::Open, authorities: None, identity: None };
    Http::new(&config).unwrap()
}

async fn promises(world: &World) {
    suite::all(&http(world.registry().url()), &world.name("suite")).await;
}

async fn references(world: &World) {
    let url = world.registry().url();
    let registry = http(url.clone());
    let (part, whole) = (world.name("part-value"), world.name("orders-value"));
    let money = json!({"type": "record", "name": "shop.Money", "fields": [
        {"name": "cents", "type": "long"},
    ]});
    registry.register(&part, &money.to_string()).await.unwrap();
    let order = json!({"type": "record", "name": "shop.Order", "fields": [
        {"name": "total", "type": "shop.Money"},
        {"name": "paid", "type": ["null", "shop.Money"], "default": null},
    ]});
    let body = json!({
        "schema": order.to_string(),
        "references": [{"name": "shop.Money", "subject": part, "version": 1}],
    });
    let answer = reqwest::Client::new()
        .post(format!("{url}/subjects/{whole}/versions"))
        .header("content-type", "application/vnd.schemaregistry.v1+json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let id = u32::try_from(answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"))).unwrap();
    let topic: Arc<str> = world.name("orders").into();
    let codec =
        Codecs::new(Arc::new(registry), [(Arc::clone(&topic), Format::Avro)]).for_topic(&topic);
    let value = json!({"total": {"cents": 1250}, "paid": {"cents": 50}});
    let bytes = codec.encode(&value).await.unwrap();
    assert_eq!(bytes[1..5], id.to_be_bytes());
    assert_eq!(codec.decode(&bytes).await.unwrap(), value);
}

async fn gone(world: &World) {
    let server = world.own_registry();
    let registry = Arc::new(http(server.url()));
    let known = registry.register("t-value", r#""string""#).await.unwrap();
    let codecs = Codecs::new(registry, [("t".into(), Format::Avro)]);
    let codec = codecs.for_topic("t");
    let value = Bytes::from([&[0], &known.to_be_bytes()[..], &[2, b'x']].concat());
    let other = Bytes::from([&[0], &(known + 1).to_be_bytes()[..], &[2, b'x']].concat());
    assert_eq!(codec.decode(&value).await.unwrap(), json!("x"));
    server.kill();
    assert_eq!(codec.decode(&value).await.unwrap(), json!("x"), "what is known stays known");
    let error = codec.decode(&other).await.unwrap_err();
    assert_eq!(error.kind, CodecErrorKind::Unavailable, "no dead letter: {error}");
    server.restart();
    let error = codec.decode(&other).await.unwrap_err();
    assert_eq!((error.kind, error.code), (CodecErrorKind::Permanent, "unknown-schema"));
    // The restarted one is empty: ids begin again.
    let again = codecs.registry().register("u-value", r#""string""#).await.unwrap();
    let more = codecs.registry().register("v-value", r#""bytes""#).await.unwrap();
    assert_eq!((again, more), (known, known + 1));
    assert_eq!(codec.decode(&other).await.unwrap(), json!("eA=="), "asked again, known by now");
}
