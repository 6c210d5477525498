use std::path::PathBuf;

use super::*;
use crate::app::known::known;
use crate::pipeline::check::check;
use crate::settings::{Environment, read};

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn file(&self, path: &str) -> Result<String, String> {
        Err(format!("no file `{path}`"))
    }
}

const SETTINGS: &str = "vivremotion: 1
models:
  small: { model: simulated/small }
  route: { first_healthy: [small, simulated/dear] }
  free: { model: simulated/free, price: free }
  new: { model: vendor/new }
providers: { vendor: { dialect: openai, base_url: \"http://vendor/v1\" } }
prices:
  simulated/small: [ { from: 2026-01-01, input: 1 USD, output: 2 USD } ]
  simulated/dear: [ { from: 2026-01-01, input: 10 USD, output: 20 USD } ]
";

/// 2026-11-22.
const NOW: i64 = 1_795_305_600_000;

fn told(budget: &str, model: &str, event_bytes: u64, records: i64) -> String {
    let settings = read("vivremotion.yaml", SETTINGS, &Nothing).unwrap_or_else(|e| panic!("{e}"));
    // A prompt of 40 bytes: 10 tokens.
    let pipeline = format!(
        "vivremotion: 1\npipeline: p\n{budget}source: {{ topic: in, from: earliest }}\n\
         stages: {{ answer: {{ generate: {{ model: {model}, max_tokens: 100, prompt: \"{}\" }} }} }}\n\
         sink: {{ topic: out }}\n",
        "x".repeat(40)
    );
    let (checked, found) = check(&"p.yaml".into(), PathBuf::new(), &pipeline, &known(&settings));
    let plan = checked.unwrap_or_else(|| panic!("{found}")).plan;
    of(&plan, &settings, event_bytes, NOW).told(records).to_string()
}

#[test]
fn a_backlog_costs_its_prompts_its_events_and_answers_of_full_length() {
    // 10 + 90 tokens in at a millionth, 100 out at two millionths: 0.0003 each.
    let said = told("", "small", 360, 1_000);
    assert_eq!(said, "about 0.3 USD with every answer as long as `max_tokens` allows");
}

#[test]
fn a_route_costs_what_its_dearest_member_does() {
    assert!(told("", "route", 360, 1_000).starts_with("about 3 USD"));
}

#[test]
fn no_estimate_is_above_the_limit_of_its_events() {
    let said = told("budget: { per_event: 0.0001 USD }\n", "small", 360, 1_000);
    assert!(said.starts_with("about 0.1 USD"), "{said}");
    assert!(said.ends_with(", at most 0.1 USD by `budget.per_event`"), "{said}");
}

#[test]
fn what_is_free_and_what_is_not_known_is_said() {
    assert_eq!(told("", "free", 360, 1_000), "at no cost");
    let said = told("", "new", 360, 1_000);
    assert_eq!(said, "at a cost that is not known (no price for `vendor/new`)");
}
