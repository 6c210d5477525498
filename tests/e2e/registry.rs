//! The registry over HTTP: the registry room's suite, and its absence.

use futures::FutureExt;
use vivremotion::codec::CodecErrorKind;
use vivremotion::codec::registry::Registry;
use vivremotion::codec::registry::http::{Access, Config, Http};

use crate::services::Need;
use crate::story::{Story, World};

#[path = "../it/conformance/registry.rs"]
#[expect(
    unused_imports,
    dead_code,
    reason = "tests of the members that need no service are none here"
)]
mod conformance;

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story {
            name: "a_registry_over_http_keeps_every_promise_of_its_room",
            needs: &[Need::Registry],
            run: |world| promises(world).boxed_local(),
        },
        Story {
            name: "a_registry_that_is_gone_is_unavailable_and_not_a_wrong_schema",
            needs: &[Need::OwnRegistry],
            run: |world| gone(world).boxed_local(),
        },
    ]
}

fn client(url: String) -> Http {
    let config =
        Config { urls: vec![url], access: Access::Open, authorities: None, identity: None };
    Http::new(&config).unwrap()
}

async fn promises(world: &World) {
    conformance::suite(&client(world.registry().url()), &world.name("room")).await;
}

async fn gone(world: &World) {
    let registry = world.own_registry();
    let client = client(registry.url());
    let subject = world.name("x-value");
    let id = client.register(&subject, r#""string""#).await.unwrap();
    registry.kill();
    let error = client.schema(id).await.unwrap_err();
    assert_eq!(error.kind, CodecErrorKind::Unavailable, "{error}");
    registry.restart();
    // It came back empty: now the id is unknown, which is an answer.
    assert_eq!(client.schema(id).await.unwrap(), None);
}
