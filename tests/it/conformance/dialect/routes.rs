//! How routes choose, and what settings may say.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use vivremotion::base::clock::{Clock, SystemClock};
use vivremotion::model::ModelErrorKind;
use vivremotion::model::config::{ModelEntry, ModelsConfig, ProviderConfig, SingleModel};
use vivremotion::model::mock::{self, Config};
use vivremotion::route::build::{Entry, build, simulated};

use super::world::{Caller, KEY, LONG, Settings, ask};

#[tokio::test]
async fn a_member_that_is_down_is_passed_over_at_once() {
    let server = mock::start(Config::default()).await.unwrap();
    let models = Settings::new()
        .provider("gone", "http://127.0.0.1:9/v1", None)
        .provider("mock", &server.base_url, None)
        .route("writer", &["gone/big", "mock/status-401", "mock/small"])
        .route("hopeless", &["gone/big", "mock/status-401"])
        .build();
    let caller = Caller::new();
    models["writer"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap();
    let [refused, answered] = caller.counted.attempts().try_into().unwrap();
    assert_eq!((&*refused.outcome, &*answered.outcome), ("unauthorised", "ok"));
    let decision = answered.decision.unwrap();
    assert_eq!(
        (decision.policy.as_str(), decision.chosen.as_str()),
        ("first_healthy", "mock/small")
    );
    assert_eq!(decision.candidates, ["gone/big", "mock/status-401", "mock/small"]);

    let error = models["hopeless"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::NoRoute);
    assert_eq!(error.message, "model `hopeless` is down: none of its members is healthy");
}

#[tokio::test]
async fn any_other_failure_goes_back_to_the_stage() {
    let server = mock::start(Config::default()).await.unwrap();
    let models = Settings::new()
        .provider("mock", &server.base_url, None)
        .route("writer", &["mock/status-503", "mock/small"])
        .build();
    let caller = Caller::new();
    let error = models["writer"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Overloaded);
    assert_eq!(server.ledger.summary().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_sends_calls_to_the_next_member_until_probes_succeed() {
    let models = Settings::new()
        .simulated()
        .model("simulated/status-503")
        .route("writer", &["simulated/status-503", "simulated/small"])
        .build();
    let caller = Caller::new();
    for attempt in 1..=20 {
        let error =
            models["writer"].chat(&ask("x"), &caller.call(attempt, LONG)).await.unwrap_err();
        assert_eq!(error.kind, ModelErrorKind::Overloaded);
    }
    models["writer"].chat(&ask("x"), &caller.call(21, LONG)).await.unwrap();
    let last = caller.counted.attempts().pop().unwrap();
    assert_eq!(last.decision.unwrap().chosen, "simulated/small");

    // The single model has the same breaker: it is down, and says for how long.
    let alone =
        models["simulated/status-503"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap_err();
    assert_eq!(
        (alone.kind, alone.retry_after),
        (ModelErrorKind::NoRoute, Some(Duration::from_secs(15)))
    );
    tokio::time::advance(Duration::from_secs(15)).await;
    let probe = models["writer"].chat(&ask("x"), &caller.call(22, LONG)).await.unwrap_err();
    assert_eq!(probe.kind, ModelErrorKind::Overloaded, "half open, it is tried again");
    models["writer"].chat(&ask("x"), &caller.call(23, LONG)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_and_wrong_ones_open_no_breaker() {
    let models = Settings::new()
        .simulated()
        .model("simulated/status-429")
        .model("simulated/status-400")
        .build();
    let caller = Caller::new();
    for (name, kind) in [
        ("simulated/status-429", ModelErrorKind::RateLimited),
        ("simulated/status-400", ModelErrorKind::InvalidRequest),
    ] {
        for attempt in 1..=50 {
            let error =
                models[name].chat(&ask("x"), &caller.call(attempt, LONG)).await.unwrap_err();
            assert_eq!(error.kind, kind);
        }
    }
}

fn wrong(config: &ModelsConfig) -> Vec<(Entry, String)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let errors = build(config, &clock, 0).err().expect("these settings are wrong");
    errors.into_iter().map(|error| (error.entry, error.message)).collect()
}

#[test]
fn all_that_is_wrong_with_providers_and_models_is_said_at_once() {
    let mut config = ModelsConfig::default();
    let provider = |dialect: &str, base_url: &str| ProviderConfig {
        dialect: Some(dialect.into()),
        base_url: Some(base_url.into()),
        ..ProviderConfig::default()
    };
    config.providers.insert("openai".into(), ProviderConfig::default());
    config.providers.insert("vllm".into(), ProviderConfig::default());
    config.providers.insert("odd".into(), provider("klingon", "http://h/v1"));
    config.providers.insert("typo".into(), provider("openai", "localhost:8000"));
    config.providers.insert("named".into(), provider("openai", "http://me:pass@h/v1"));
    config.providers.insert("good".into(), provider("openai", "http://h/v1"));
    let single = |text: &str| ModelEntry::Single(SingleModel::parse(text).unwrap());
    config.models.insert("lost".into(), single("nowhere/x"));
    config.models.insert("silent".into(), single("vllm/x"));
    config.models.insert("circle".into(), ModelEntry::FirstHealthy(vec!["empty".into()]));
    config.models.insert("empty".into(), ModelEntry::FirstHealthy(Vec::new()));
    config.models.insert("guess".into(), ModelEntry::FirstHealthy(vec!["smal".into()]));
    let streamed = json!({ "stream": true }).as_object().unwrap().clone();
    let streamed = SingleModel { params: streamed, ..SingleModel::parse("good/x").unwrap() };
    config.models.insert("streamed".into(), ModelEntry::Single(streamed));
    let none = SingleModel { max_in_flight: Some(0), ..SingleModel::parse("good/x").unwrap() };
    config.models.insert("zero".into(), ModelEntry::Single(none));

    let found = wrong(&config);
    let said = |entry: Entry, part: &str| {
        let message =
            found.iter().find(|(which, _)| *which == entry).map(|(_, message)| message.as_str());
        assert!(message.is_some_and(|message| message.contains(part)), "{entry:?}: {message:?}");
    };
    let provider = |name: &str| Entry::Provider(name.into());
    let model = |name: &str| Entry::Model(name.into());
    said(provider("openai"), "it needs `api_key`");
    said(provider("vllm"), "needs `dialect` and `base_url`");
    said(provider("odd"), "there is no dialect `klingon`");
    said(provider("typo"), "neither http nor https");
    said(provider("named"), "use `api_key`");
    said(model("lost"), "there is no provider `nowhere`");
    said(model("circle"), "itself a route");
    said(model("empty"), "names no member");
    said(model("guess"), "no model of these settings");
    said(model("streamed"), "`params` may not set `stream`");
    said(model("zero"), "`max_in_flight` is 0");
    assert!(
        !found.iter().any(|(entry, _)| *entry == model("silent")),
        "said once, at its provider"
    );
}

#[test]
fn no_configuration_shows_its_key() {
    let settings = Settings::new().provider("mock", "http://127.0.0.1:1/v1", None);
    assert!(!format!("{:?}", settings.0).contains(KEY));
    let mut config = settings.0;
    if let Some(provider) = config.providers.get_mut("mock") {
        provider.api_key = Some(vivremotion::base::secret::Secret::new("two\nlines"));
    }
    config.models.insert("m".into(), ModelEntry::Single(SingleModel::parse("mock/x").unwrap()));
    let found = wrong(&config);
    assert!(found[0].1.contains("authorization") && !found[0].1.contains("lines"), "{found:?}");
}

#[tokio::test]
async fn without_settings_every_name_is_a_simulated_model() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let model = simulated("writer", &Default::default(), &clock, 0);
    let caller = Caller::limited("0.01");
    let reply = model.chat(&ask("hello"), &caller.call(1, LONG)).await.unwrap();
    assert!(reply.simulated && reply.text.starts_with("[simulated]"));
    let attempt = caller.counted.only();
    assert_eq!((&*attempt.provider, &*attempt.request_model), ("simulated", "writer"));
    assert_eq!(attempt.amount.map(|amount| amount.0), Some(0));
}
