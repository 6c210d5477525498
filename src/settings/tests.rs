use std::path::{Path, PathBuf};

use super::*;
use crate::codec::Format;
use crate::codec::registry::http::Access;
use crate::context::memory::words::Language;
use crate::stream::{Guarantee, OnCorruptProgress};

/// An environment that does not change from machine to machine.
struct Fixed;

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "SET" => Some("value".into()),
            "EMPTY" => Some(String::new()),
            "NUMBER" => Some("64".into()),
            "TRUE" => Some("true".into()),
            _ => None,
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        match path {
            "there.pem" => Ok("PEM\n".into()),
            "secrets/key" => Ok("s3cret\r\n".into()),
            _ => Err("there is no such file".into()),
        }
    }
}

fn good(text: &str) -> Settings {
    read("vivremotion.yaml", text, &Fixed).unwrap_or_else(|found| panic!("{found}"))
}

fn bad(text: &str) -> String {
    match read("vivremotion.yaml", text, &Fixed) {
        Ok(settings) => panic!("took {settings:?}"),
        Err(found) => found.to_string(),
    }
}

/// Each file of `tests/fixtures/settings/bad` and the problems it has; `GOLDEN=write` takes what is said now.
#[expect(clippy::disallowed_methods, reason = "what a run is told stands in its environment")]
#[test]
fn every_bad_file_is_refused_with_its_text() {
    let folder = Path::new("tests/fixtures/settings/bad");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    assert!(files.len() > 15);
    for path in files {
        let said = bad(&std::fs::read_to_string(&path).unwrap());
        let golden = path.with_extension("txt");
        if std::env::var("GOLDEN").as_deref() == Ok("write") {
            std::fs::write(&golden, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(said, expected, "{}", path.display());
    }
}

#[test]
fn without_a_file_everything_is_embedded() {
    let settings = load(None, &Fixed).unwrap();
    assert!(settings.open);
    let LogSettings::Local(local) = &settings.log else { panic!() };
    assert_eq!(local.path, Path::new(".vivremotion/log.db"));
    assert_eq!(local.synchronous, Synchronous::Full);
    assert_eq!(settings.commit_interval(), Duration::from_millis(2));
    assert!(matches!(settings.registry, RegistrySettings::Embedded));
    assert!(matches!(settings.memory.store, Store::Local));
    assert_eq!(settings.engine.permits, 12_000);
    assert_eq!(settings.engine.drain, Duration::from_secs(10));
    assert_eq!(&*settings.currency, "USD");
    assert_eq!(settings.listen, "127.0.0.1:9464");
    assert_eq!(settings.group_prefix(), "vivremotion");
    assert_eq!(&*settings.names().costs, "vivremotion.costs");
    assert_eq!(settings.priced("anything"), None);
}

#[test]
fn a_file_that_can_not_be_read_is_one_problem() {
    let found = load(Some(Path::new("no/such.yaml")), &Fixed).unwrap_err().to_string();
    assert!(found.starts_with("no/such.yaml: error[unreadable-file]: can't read the settings: "));
    assert!(found.ends_with("  help: name another file with `--settings`\n"), "{found}");
}

const FULL: &str = r#"
vivremotion: 1
log:
  kafka:
    brokers: "${env:KAFKA_BROKERS:-localhost:9092}"
    group_prefix: acme
    guarantee: at_least_once
    commit_interval: 10ms
    instance: "${env:POD_NAME:-}"
    create: "${env:TRUE}"
    client: { security.protocol: SASL_SSL, sasl.username: ai, sasl.password: "${file:secrets/key}", fetch.min.bytes: 1 }
    names: { costs: acme.costs, dead_letters: "{topic}.dlq" }
registry: { http: { url: "https://registry:8081/", username: ai, password: "${env:SET}", ca: { file: there.pem } } }
memory:
  qdrant: { url: "http://qdrant:6334", api_key: "${env:SET}" }
  collections:
    support-kb: { embedder: embedder, text: page_content, tenant: none }
    notes: { language: german }
providers:
  openai: { api_key: "${env:SET}" }
  vllm: { dialect: openai, base_url: "http://vllm:8000/v1/", max_in_flight: "${env:NUMBER}" }
models:
  small: { model: vllm/Qwen/Qwen3-8B, price: free, params: { temperature: 0 } }
  writer: { first_healthy: [openai/gpt-4.1, small] }
  bulk: openai/gpt-4.1-mini
  embedder: { model: openai/text-embedding-3-small, dimensions: 512 }
  made-up: simulated/any
budget: { per_day: 200 USD }
engine: { permits: 500, drain: 3s, on_corrupt_progress: replay }
topics:
  tickets: { value: avro, key: string, partitions: 12, identity: { session: "{{ record.key }}", user: "u-{{ record.key }}" } }
  products: { value: json }
  notes: { value: text }
prices:
  openai/gpt-4.1-mini:
    - { from: 2026-06-01, input: 0.30 USD, output: 1.20 USD }
    - { from: 2026-01-01, input: 0.40 USD, cache_read: 0.10 USD, output: 1.60 USD }
state: "/var/lib/${env:SET}"
server: { listen: "0.0.0.0:${env:EMPTY:-9464}" }
"#;

#[test]
fn every_key_of_the_grammar_is_read() {
    let settings = good(FULL);
    assert!(!settings.open && settings.warnings.is_empty());
    let LogSettings::Kafka(kafka) = &settings.log else { panic!() };
    assert_eq!(kafka.brokers, "localhost:9092");
    assert_eq!((&*kafka.group_prefix, kafka.guarantee), ("acme", Guarantee::AtLeastOnce));
    assert_eq!(kafka.commit_interval, Duration::from_millis(10));
    assert_eq!((kafka.instance.as_ref(), kafka.create), (None, true));
    let client: Vec<(&str, &str)> =
        kafka.client.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(client[2..], [("sasl.password", "s3cret"), ("fetch.min.bytes", "1")]);
    assert_eq!(&*kafka.names.dead_letters, "{topic}.dlq");
    let RegistrySettings::Http(registry) = &settings.registry else { panic!() };
    assert_eq!(registry.urls, ["https://registry:8081"]);
    assert!(matches!(&registry.access, Access::Basic { username, .. } if username == "ai"));
    assert_eq!(registry.authorities.as_deref(), Some("PEM\n"));
    let Store::Qdrant { url, api_key } = &settings.memory.store else { panic!() };
    assert_eq!((url.as_str(), api_key.is_some()), ("http://qdrant:6334", true));
    let kb = &settings.memory.collections["support-kb"];
    assert_eq!(
        (kb.embedder.as_deref(), &*kb.text, kb.tenants),
        (Some("embedder"), "page_content", false)
    );
    let notes = &settings.memory.collections["notes"];
    assert_eq!((&*notes.text, notes.tenants, notes.language), ("text", true, Language::German));
    assert_eq!(settings.providers["openai"].base_url, "https://api.openai.com/v1");
    assert_eq!(settings.providers["vllm"].max_in_flight, Some(64));
    assert_eq!(&*settings.providers["simulated"].dialect, "simulated");
    assert_eq!(settings.per_day, Some(Money(200 * Money::UNIT)));
    assert_eq!(settings.engine.on_corrupt_progress, OnCorruptProgress::Replay);
    assert_eq!(settings.topics["tickets"].partitions, Some(12));
    assert!(settings.topics["tickets"].identity.tenant.is_none());
    assert_eq!(settings.topics["notes"].value, Format::Text);
    assert_eq!(settings.state, Path::new("/var/lib/value"));
    assert_eq!(settings.embedded_file(), Path::new("/var/lib/value/log.db"));
    assert_eq!(settings.listen, "0.0.0.0:9464");
}

#[test]
fn the_local_log_is_read_with_its_interval() {
    let text = "vivremotion: 1\nlog: { local: { path: here.db, synchronous: normal, commit_interval: 100ms } }\n";
    let settings = good(text);
    let LogSettings::Local(local) = &settings.log else { panic!() };
    assert_eq!((&*local.path, local.synchronous), (Path::new("here.db"), Synchronous::Normal));
    assert_eq!(settings.commit_interval(), Duration::from_millis(100));
    assert!(bad(&text.replace("100ms", "11s")).contains("expected at most 10s"));
}

#[test]
fn models_and_routes_lead_to_providers_and_prices() {
    let settings = good(FULL);
    let small = &settings.models["small"].members()[0];
    assert_eq!((&*small.provider, &*small.model, small.free), ("vllm", "Qwen/Qwen3-8B", true));
    assert_eq!(small.params["temperature"], 0);
    let ModelSettings::FirstHealthy(members) = &settings.models["writer"] else { panic!() };
    let keys: Vec<String> = members.iter().map(Member::key).collect();
    assert_eq!(keys, ["openai/gpt-4.1", "vllm/Qwen/Qwen3-8B"]);
    assert_eq!(settings.models["embedder"].members()[0].dimensions, Some(512));
    let priced = ["small", "writer", "bulk", "embedder", "made-up", "none"];
    let priced = priced.map(|name| settings.priced(name));
    assert_eq!(priced, [Some(true), Some(false), Some(true), Some(false), Some(true), None]);
    let prices = &settings.prices.of["openai/gpt-4.1-mini"];
    assert!(prices[0].from < prices[1].from, "oldest first");
    assert_eq!(prices[0].input, Money(400_000_000));
    assert_eq!(prices[1].cache_read, None);
}

#[test]
fn a_catalogue_is_known_by_its_content() {
    let catalogue = |text: &str| good(text).prices.catalogue;
    let first = catalogue(FULL);
    assert_eq!(first.as_ref().map(|digest| digest.len()), Some(16));
    assert_eq!(catalogue(&FULL.replace("permits: 500", "permits: 501")), first);
    assert_ne!(catalogue(&FULL.replace("1.60 USD", "1.61 USD")), first);
    assert_eq!(catalogue("vivremotion: 1\n"), None);
}

#[test]
fn a_secret_is_shown_nowhere() {
    let shown = format!("{:?}", good(FULL));
    assert!(!shown.contains("s3cret"), "{shown}");
    let said = bad(&FULL.replace("url: \"http://qdrant:6334\"", "url: \"${file:secrets/key}\""));
    assert!(!said.contains("s3cret"), "{said}");
    for (from, to) in [
        ("localhost:9092}", "nowhere}"),
        ("guarantee: at_least_once", "guarantee: \"${file:secrets/key}\""),
        ("group_prefix: acme", "group_prefix: \"${file:secrets/key} \""),
        ("language: german", "language: \"${file:secrets/key}\""),
        ("openai/gpt-4.1-mini\n", "\"${file:secrets/key}/x\"\n"),
        ("commit_interval: 10ms", "commit_interval: \"${file:secrets/key}\""),
    ] {
        assert!(FULL.contains(from), "{from}");
        let said = bad(&FULL.replace(from, to));
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[test]
fn a_price_that_is_almost_that_of_a_model_is_a_warning() {
    let settings = good(&FULL.replace("openai/gpt-4.1-mini:", "openai/gpt-4.1-min:"));
    assert_eq!(
        settings.warnings.to_string(),
        "vivremotion.yaml:35:3: warning[unused-price]: no model is `openai/gpt-4.1-min`, and \
         `openai/gpt-4.1-mini` has no price\n 35 |   openai/gpt-4.1-min:\n  help: did you mean \
         `openai/gpt-4.1-mini`?\n"
    );
}

#[test]
fn all_amounts_of_a_file_have_one_currency() {
    let euro = good(&FULL.replace("USD", "EUR"));
    assert_eq!(&*euro.currency, "EUR");
    let said = bad(&FULL.replace("200 USD", "200 EUR"));
    assert!(said.contains("error[mixed-currencies]: `EUR` beside `USD`"), "{said}");
}

#[test]
fn a_reference_may_stand_in_for_a_number_but_a_text_may_not() {
    assert!(bad("vivremotion: 1\nengine: { permits: \"64\" }\n").contains("wrong-type"));
    let settings = good("vivremotion: 1\nengine: { permits: \"${env:NUMBER}\" }\n");
    assert_eq!(settings.engine.permits, 64);
}
