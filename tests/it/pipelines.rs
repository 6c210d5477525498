//! Every shipped pipeline: it checks clean, its plan is the one that was reviewed, and its sample events come through
//! with simulated models and local memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vivremotion::codec::avro::shipped;
use vivremotion::pipeline::samples::{Sample, Samples, read_events};
use vivremotion::pipeline::{Known, KnownTopic, describe, load};
use vivremotion::settings::{self, Environment};

mod tour;

const SHIPPED: &str = "pipelines";

fn shipped_pipelines(known: &Known) -> vivremotion::pipeline::Loaded {
    load(&[PathBuf::from(SHIPPED)], known).unwrap_or_else(|found| panic!("{found}"))
}

/// Settings with our schemas on the input topics.
fn with_schemas() -> Known {
    let topic = |name: &str, schema: &str| {
        let schema = serde_json::from_str(schema).unwrap();
        (Arc::from(name), KnownTopic { schema: Some(schema) })
    };
    let topics = [
        topic("tickets", shipped::REQUEST),
        topic("transcripts", shipped::REQUEST),
        topic("readings", shipped::SENSOR),
    ];
    Known { topics: topics.into(), ..Known::default() }
}

fn samples() -> Samples {
    Samples::load(&Path::new(SHIPPED).join("samples.yaml"))
        .unwrap_or_else(|found| panic!("{found}"))
}

fn events() -> Vec<Sample> {
    samples().events.iter().flat_map(|path| read_events(path).unwrap()).collect()
}

#[test]
fn shipped_pipelines_check_clean_whether_or_not_the_schemas_are_known() {
    for known in [Known::default(), with_schemas()] {
        let loaded = shipped_pipelines(&known);
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let names: Vec<&str> = loaded.plans.iter().map(|plan| &*plan.name).collect();
        assert_eq!(names, ["call-notes", "sensor-watch", "support-triage"]);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the switch that takes a new golden text")]
fn a_plan_changes_only_with_its_golden_file() {
    for plan in &shipped_pipelines(&Known::default()).plans {
        let text = describe::text(plan, "USD");
        // The digest covers every letter of every prompt: it is not for review.
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("digest: "));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let path = Path::new("tests/fixtures/shipped").join(format!("{}.txt", plan.name));
        if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
            std::fs::create_dir_all("tests/fixtures/shipped").unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{} differs; GOLDEN=write takes the new text", path.display());
    }
}

#[test]
fn every_prompt_and_schema_that_is_shipped_is_used() {
    let mut used = String::new();
    for entry in std::fs::read_dir(SHIPPED).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|end| end == "yaml") {
            used.push_str(&std::fs::read_to_string(entry).unwrap());
        }
    }
    for folder in ["prompts", "schemas", "events", "knowledge"] {
        for entry in std::fs::read_dir(Path::new(SHIPPED).join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(used.contains(&format!("{folder}/{name}")), "nobody uses {folder}/{name}");
        }
    }
}

#[test]
fn every_sample_event_goes_to_a_topic_that_a_shipped_pipeline_reads() {
    let loaded = shipped_pipelines(&Known::default());
    let read: BTreeSet<&str> = loaded.plans.iter().map(|plan| &*plan.source.topic).collect();
    let mut count = BTreeMap::<String, usize>::new();
    for event in events() {
        assert!(read.contains(&*event.topic), "nobody reads `{}`", event.topic);
        assert!(event.key.is_some() && event.value.is_object(), "{event:?}");
        *count.entry(event.topic.to_string()).or_default() += 1;
    }
    assert!(
        count["tickets"] >= 5 && count["transcripts"] >= 2 && count["readings"] >= 100,
        "{count:?}"
    );
}

#[test]
fn the_sample_readings_are_quiet_but_for_a_few() {
    let readings: Vec<Sample> = events().into_iter().filter(|e| &*e.topic == "readings").collect();
    let loud = |event: &&Sample| {
        event.value["metric"] == "vibration"
            && event.value["value"].as_f64() > Some(7.1)
            && event.value["quality"] == "good"
    };
    let loud = readings.iter().filter(loud).count();
    assert!((2..=10).contains(&loud) && readings.len() > 20 * loud, "{loud} of {}", readings.len());
}

struct WithKey;

impl Environment for WithKey {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "OPENAI_API_KEY").then(|| "sk-of-nobody".to_owned())
    }
    fn file(&self, path: &str) -> Result<String, String> {
        Err(format!("no file {path}"))
    }
}

#[test]
fn the_example_settings_put_real_models_in_the_place_of_every_simulated_one() {
    let path = Path::new(SHIPPED).join("vivremotion.example.yaml");
    let settings = settings::load(Some(&path), &WithKey).unwrap_or_else(|found| panic!("{found}"));
    assert!(settings.warnings.is_empty(), "{}", settings.warnings);
    let loaded = shipped_pipelines(&vivremotion::app::known::known(&settings));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
}
