//! What an engine at work tells of itself: its metrics, by name, kind and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use vivremotion::telemetry::names::METRICS;

use crate::services::until;
use crate::story::{Story, World};

const WAIT: Duration = Duration::from_secs(60);
const GOLDEN: &str = "tests/fixtures/metrics.txt";

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![Story {
        name: "a_run_of_the_shipped_pipelines_tells_every_metric_by_its_name_and_labels",
        needs: &[],
        run: |world| metrics(world).boxed_local(),
    }]
}

async fn metrics(world: &World) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let settings = "vivremotion: 1\n\
         models: { small: simulated/small, writer: simulated/writer }\n\
         memory: { collections: { support-kb: {}, press-manuals: {} } }\n\
         prices: { simulated/small: [ { from: 2026-01-01, input: 1 USD, output: 2 USD } ] }";
    let mut engine = world.engine("engine", settings, &[&shipped]);
    engine.ready();
    let file = world.dir().join("engine.yaml").display().to_string();
    let pipelines = shipped.display().to_string();
    let event = r#"{"input": {"text": "I was charged twice."}}"#;
    let words = ["send", "tickets", event, "--wait", "--pipelines", &pipelines];
    let output = world.run(&[&words[..], &["--settings", &file]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Counted when it was committed, which is when its answer could be read; the page may be a moment older.
    let page = until(WAIT, || {
        let (_, page) = engine.get("/metrics")?;
        let counted = page.lines().any(|line| line.starts_with("vivremotion_commit_events{"));
        if counted { Ok(page) } else { Err(format!("no commit is counted:\n{page}")) }
    })
    .unwrap();
    let told = summary(&page);
    #[expect(clippy::disallowed_methods, reason = "what a run is told stands in its environment")]
    if std::env::var("GOLDEN").as_deref() == Ok("write") {
        std::fs::write(GOLDEN, &told).unwrap();
    }
    assert_eq!(told, std::fs::read_to_string(GOLDEN).unwrap_or_default());
    // The list of names is the only source: nothing else is told, and nothing of it is missing.
    let on_page: BTreeSet<&str> =
        told.lines().filter_map(|line| line.split_once(' ').map(|(name, _)| name)).collect();
    let listed: BTreeSet<String> =
        METRICS.iter().map(|(name, ..)| name.replace('.', "_")).collect();
    assert_eq!(on_page, listed.iter().map(String::as_str).collect());
    assert!(on_page.contains("vivremotion_event_overhead"), "the engine's own part of the time");
    assert!(!page.contains("charged twice"), "no event's content");
    assert!(engine.drain(WAIT).success());
}

/// Name, kind and labels of every metric of a page, one a line.
fn summary(page: &str) -> String {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            kinds.insert(name, kind);
            labels.entry(name).or_default();
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let end = line.find(['{', ' ']).unwrap();
        let name = &line[..end];
        let parts = ["_bucket", "_sum", "_count"];
        let whole = parts.iter().find_map(|part| name.strip_suffix(part));
        let name = whole.filter(|whole| kinds.contains_key(whole)).unwrap_or(name);
        let inside = line[end..].split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
        let pairs = inside.map_or("", |(inside, _)| inside).split("\",");
        let keys = pairs.filter_map(|pair| pair.split_once('=').map(|(key, _)| key));
        labels.entry(name).or_default().extend(keys.filter(|key| *key != "le"));
    }
    let line = |(name, keys): (&&str, &BTreeSet<&str>)| {
        let keys: Vec<&str> = keys.iter().copied().collect();
        let kind = kinds.get(name).copied().unwrap_or("untyped");
        format!("{name} {kind} {{{}}}\n", keys.join(", "))
    };
    labels.iter().map(line).collect()
}
