//! What an attempt leaves behind: one record for each request that left, and every hold settled.

use std::time::Duration;

use vivremotion::event::money::Money;
use vivremotion::model::config::{ModelEntry, ModelsConfig, ProviderConfig, SingleModel};
use vivremotion::model::mock::{self, Config};
use vivremotion::model::simulated::behaviour::Behaviour;
use vivremotion::model::{ModelErrorKind, Purse};

use super::world::{Caller, LONG, Settings, ask, embed, models_of, money, until};

/// The ceiling of `ask("x")`: bytes of two turns by three and eight each, 100 tokens out.
fn ceiling() -> Money {
    (money("0.40").times(6 + 8 + 1 + 8, 1) + money("1.60").times(100, 1)).times(1, 1_000_000)
}

#[tokio::test]
async fn an_answer_costs_what_it_used() {
    let server = mock::start(Config::default()).await.unwrap();
    let name = "mock/small+input-1000+cached-300+tokens-80";
    let models = models_of(&server, &[name]);
    let caller = Caller::limited("1");
    models[name].chat(&ask("x"), &caller.call(2, LONG)).await.unwrap();
    let attempt = caller.counted.only();
    // 700 × 0.40 + 300 × 0.10 + 80 × 1.60, per million.
    assert_eq!(attempt.amount, Some(money("0.000438")));
    assert_eq!((attempt.price_status, &*attempt.outcome, attempt.number), ("priced", "ok", 2));
    assert_eq!((&*attempt.provider, &*attempt.account), ("mock", "team-a"));
    assert_eq!((&*attempt.stage, attempt.item), ("answer", Some(3)));
    assert_eq!(attempt.catalogue.as_deref(), Some("book-1"));
    assert_eq!(attempt.finish_reason.as_deref(), Some("stop"));
    assert_eq!(attempt.response_model.as_deref(), Some("small+input-1000+cached-300+tokens-80"));
    assert!(attempt.provider_request_id.is_some() && attempt.decision.is_none());
    assert_eq!(caller.money(), (money("0.000438"), Money::ZERO));
}

#[tokio::test]
async fn a_refused_call_costs_nothing_and_an_unknown_outcome_its_ceiling() {
    let server = mock::start(Config::default()).await.unwrap();
    let cases = [
        ("mock/status-429", "rate-limited", "priced", Money::ZERO),
        ("mock/status-500", "overloaded", "priced", Money::ZERO),
        ("mock/error-body", "overloaded", "priced", Money::ZERO),
        ("mock/garbage", "malformed-reply", "unsettled", ceiling()),
        ("mock/cut", "malformed-reply", "unsettled", ceiling()),
        ("mock/hang", "timeout", "unsettled", ceiling()),
    ];
    let names: Vec<&str> = cases.iter().map(|case| case.0).collect();
    let models = models_of(&server, &names);
    for (name, outcome, price_status, amount) in cases {
        let caller = Caller::limited("1");
        let within = if name.ends_with("hang") { Duration::from_millis(50) } else { LONG };
        models[name].chat(&ask("x"), &caller.call(1, within)).await.unwrap_err();
        let attempt = caller.counted.only();
        assert_eq!((&*attempt.outcome, attempt.price_status), (outcome, price_status), "{name}");
        assert_eq!(attempt.amount, Some(amount), "{name}");
        assert_eq!(caller.money(), (amount, Money::ZERO), "{name}");
    }
}

#[tokio::test]
async fn a_call_whose_caller_goes_away_is_recorded_and_settled() {
    let server = mock::start(Config::default()).await.unwrap();
    let models = models_of(&server, &["mock/hang"]);
    let caller = Caller::limited("1");
    let (model, call, request) = (models["mock/hang"].clone(), caller.call(1, LONG), ask("x"));
    let running = tokio::spawn(async move { model.chat(&request, &call).await });
    until(&server, |sums| sums.open == 1).await;
    assert_eq!(caller.money(), (Money::ZERO, ceiling()));
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let attempt = caller.counted.only();
    assert_eq!((&*attempt.outcome, attempt.price_status), ("cancelled", "unsettled"));
    assert_eq!(attempt.amount, Some(ceiling()));
    assert_eq!(caller.money(), (ceiling(), Money::ZERO));
    until(&server, |sums| sums.open == 0).await;
    assert!(!server.ledger.entries()[0].delivered);
}

#[tokio::test]
async fn a_call_that_would_pass_a_budget_never_leaves() {
    let server = mock::start(Config::default()).await.unwrap();
    let models = models_of(&server, &["mock/small"]);
    let caller = Caller::limited("0.0001");
    let error = models["mock/small"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap_err();
    let ModelErrorKind::Budget(over) = &error.kind else { panic!("{error:?}") };
    assert_eq!(over.limit, "total");
    assert_eq!(server.ledger.summary().calls, 0);
    assert!(caller.counted.attempts().is_empty());
}

#[tokio::test]
async fn a_call_that_nobody_wants_any_more_does_not_leave_when_its_turn_comes() {
    let server = mock::start(Config::default()).await.unwrap();
    let models = Settings::new()
        .provider("mock", &server.base_url, Some(1))
        .model("mock/hang")
        .model("mock/small")
        .priced(&["mock/hang", "mock/small"])
        .build();
    let (first, second) = (Caller::limited("1"), Caller::limited("1"));
    let (model, call, request) = (models["mock/hang"].clone(), first.call(1, LONG), ask("x"));
    let open = tokio::spawn(async move { model.chat(&request, &call).await });
    until(&server, |sums| sums.open == 1).await;
    let (waits, request) = (second.call(1, LONG), ask("y"));
    let free = async {
        assert_eq!(second.money().1, ceiling(), "it waits for the only place");
        waits.halt.set();
        open.abort();
    };
    let (answer, ()) = tokio::join!(models["mock/small"].chat(&request, &waits), free);
    assert_eq!(answer.unwrap_err().kind, ModelErrorKind::Halted);
    assert_eq!(server.ledger.summary().calls, 1);
    assert!(second.counted.attempts().is_empty());
    assert_eq!(second.money().1, Money::ZERO);
}

#[tokio::test]
async fn without_a_price_the_amount_is_unknown_and_a_budget_refuses_the_call() {
    let server = mock::start(Config::default()).await.unwrap();
    let free = SingleModel { free: true, ..SingleModel::parse("mock/free").unwrap() };
    let models = Settings::new()
        .provider("mock", &server.base_url, None)
        .model("mock/unknown")
        .named("free", free)
        .build();
    let caller = Caller::new();
    models["mock/unknown"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap();
    let attempt = caller.counted.only();
    assert_eq!((attempt.amount, attempt.price_status), (None, "unpriced"));
    assert!(attempt.usage.output > 0 && attempt.lines.len() == 2);

    let caller = Caller::limited("1");
    assert!(caller.purse.limited());
    let error = models["mock/unknown"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap_err();
    assert!(
        matches!(&error.kind, ModelErrorKind::Budget(over) if over.limit == "unpriced"),
        "{error}"
    );
    models["free"].chat(&ask("x"), &caller.call(1, LONG)).await.unwrap();
    let attempt = caller.counted.only();
    assert_eq!((attempt.amount, attempt.price_status), (Some(Money::ZERO), "priced"));
}

#[tokio::test]
async fn no_more_calls_are_open_than_allowed_and_waiting_for_a_place_has_an_end() {
    let server = mock::start(Config::default()).await.unwrap();
    let narrow =
        SingleModel { max_in_flight: Some(2), ..SingleModel::parse("mock/slow-30ms").unwrap() };
    let models = Settings::new()
        .provider("mock", &server.base_url, Some(3))
        .named("narrow", narrow)
        .route("route", &["narrow", "mock/other"])
        .model("mock/slow-20ms")
        .model("mock/hang")
        .priced(&["mock/hang"])
        .build();
    let caller = Caller::new();
    let call = caller.call(1, LONG);
    let request = ask("x");
    let some = |name: &str, count: usize| {
        let model = models[name].clone();
        let (request, call) = (&request, &call);
        futures::future::join_all((0..count).map(move |_| {
            let model = model.clone();
            async move { model.chat(request, call).await.unwrap() }
        }))
    };
    some("mock/slow-20ms", 12).await;
    assert_eq!(server.ledger.summary().most_open, 3, "the provider's limit");
    let before = server.ledger.summary().calls;
    futures::future::join(some("narrow", 5), some("route", 5)).await;
    let most = server
        .ledger
        .entries()
        .iter()
        .filter(|entry| entry.ordinal > before)
        .map(|entry| entry.open)
        .max();
    assert_eq!(most, Some(2), "a model and a route it belongs to share its limit");

    let caller = Caller::limited("1");
    let short = caller.call(1, Duration::from_millis(60));
    let hang =
        futures::future::join_all((0..5).map(|_| models["mock/hang"].chat(&request, &short)));
    let kinds: Vec<_> = hang.await.into_iter().map(|answer| answer.unwrap_err().kind).collect();
    assert_eq!(kinds, vec![ModelErrorKind::Timeout; 5]);
    assert_eq!(caller.counted.attempts().len(), 3, "two of them never left");
    assert_eq!(caller.money().1, Money::ZERO);
}

#[tokio::test]
async fn the_sum_of_amounts_is_the_ledgers_tokens_by_price() {
    let server = mock::start(Config { seed: 3, ..Config::default() }).await.unwrap();
    let names = [
        "mock/a+tokens-10..90+cached-3+rate-0.3",
        "mock/b+rate-0.2+status-500+reasoning-7",
        "mock/c",
    ];
    let models = models_of(&server, &names);
    let caller = Caller::new();
    for n in 0..300u32 {
        let model = &models[names[n as usize % 3]];
        let answer = model.chat(&ask(&format!("ticket {n}")), &caller.call(1, LONG)).await;
        // An open breaker would skip calls.
        assert!(!matches!(&answer, Err(error) if error.kind == ModelErrorKind::NoRoute));
    }
    let attempts = caller.counted.attempts();
    assert_eq!(attempts.len(), 300);
    assert!(attempts.iter().any(|attempt| attempt.outcome == "overloaded"));
    // Outside of the engine: nano-USD per token are 400, 100 and 1,600.
    let expected: u64 = server
        .ledger
        .entries()
        .iter()
        .filter(|entry| entry.delivered)
        .map(|entry| {
            (entry.prompt_tokens - entry.cached_tokens) * 400
                + entry.cached_tokens * 100
                + entry.completion_tokens * 1_600
        })
        .sum();
    let sum: Money = attempts.iter().filter_map(|attempt| attempt.amount).sum();
    assert_eq!(sum, Money(expected.into()));
    let ids: std::collections::BTreeSet<_> = attempts.iter().map(|attempt| attempt.id).collect();
    assert_eq!(ids.len(), 300);
}

/// One after another, all outcomes and latencies of a simulated model.
async fn simulated_run(seed: u64) -> Vec<(String, i64)> {
    let behaviour = Behaviour::default().by_name("slow-200ms..2s+rate-0.3");
    let provider = ProviderConfig { simulated: Some(behaviour), ..ProviderConfig::default() };
    let mut config = ModelsConfig::default();
    config.providers.insert("simulated".into(), provider);
    let model = SingleModel::parse("simulated/small").unwrap();
    config.models.insert("small".into(), ModelEntry::Single(model));
    let clock: std::sync::Arc<dyn vivremotion::base::clock::Clock> =
        std::sync::Arc::new(vivremotion::base::clock::HeldClock::new(0, 1));
    let models = vivremotion::route::build::build(&config, &clock, seed).unwrap();
    let caller = Caller::new();
    for n in 0..100 {
        let request = ask(&format!("ticket {n}"));
        drop(models["small"].chat(&request, &caller.call(1, LONG)).await);
        drop(models["small"].embed(&embed(&["x"]), &caller.call(n, LONG)).await);
    }
    caller
        .counted
        .attempts()
        .into_iter()
        .map(|one| (one.outcome.into_owned(), one.duration_us))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_simulated_model_does_the_same_under_the_same_seed() {
    let (one, same, other) =
        (simulated_run(1).await, simulated_run(1).await, simulated_run(2).await);
    assert_eq!(one, same);
    assert_ne!(one, other);
    let failed = one.iter().filter(|(outcome, _)| outcome == "overloaded").count();
    assert!((30..90).contains(&failed), "{failed}");
}
