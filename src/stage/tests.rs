//! What kinds check and what they do, with scripted models and a desk that knows a few names.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::desk::Desk;
use super::http::Http;
use super::{Reply, Seat, Stage, StageError, StageKind, StageSpec, Wiring};
use crate::base::clock::SystemClock;
use crate::base::diagnostic::Place;
use crate::base::template::{Expression, Shape, Template, from_json};
use crate::base::yaml::{self, Spanned, Text, Tree, TreeValue};
use crate::context::memory::shelf::Collections;
use crate::event::cost::Attempt;
use crate::event::ids::{EventId, StageKey};
use crate::event::money::Money;
use crate::model::{
    Call, ChatReply, ChatRequest, EmbedRequest, Hold, Meter, Model, ModelError, OverBudget, Purse,
};

mod call;
mod effects;
mod memory;
mod models;
mod params;

/// Knows two models, one collection, any topic, and the files it is given.
#[derive(Default)]
struct TestDesk {
    files: BTreeMap<&'static str, &'static str>,
    problems: Vec<(&'static str, Place, String)>,
}

impl TestDesk {
    fn load(&mut self, text: &Text) -> Option<Arc<str>> {
        match text {
            Text::Inline(text) => Some(text.value.as_str().into()),
            Text::File(path) => match self.files.get(path.value.as_str()) {
                Some(text) => Some((*text).into()),
                None => self.refuse(path.place(), "unreadable-file", "no such file"),
            },
        }
    }

    fn refuse<T>(&mut self, place: Place, code: &'static str, message: &str) -> Option<T> {
        self.error(place, code, message.to_owned(), None);
        None
    }
}

impl Desk for TestDesk {
    fn text(&mut self, text: &Text) -> Option<Arc<str>> {
        self.load(text)
    }
    fn template(&mut self, text: &Text) -> Option<Template> {
        let source = self.load(text)?;
        match Template::compile(&source) {
            Ok(template) => Some(template),
            Err(error) => self.refuse(text.place(), "template", &error.message),
        }
    }
    fn expression(&mut self, text: &Spanned<String>) -> Option<Expression> {
        Expression::compile(&text.value).ok()
    }
    fn shape(&mut self, tree: &Tree) -> Option<Shape> {
        Shape::compile(&tree.to_json()).ok()
    }
    fn json_schema(&mut self, tree: &Tree) -> Option<Arc<Value>> {
        let file = tree.get("file").map(|path| &path.value);
        match file {
            Some(TreeValue::Leaf(Value::String(path))) => {
                let text = self.files.get(path.as_str())?;
                serde_json::from_str(text).ok().map(Arc::new)
            }
            _ => Some(Arc::new(tree.to_json())),
        }
    }
    fn model(&mut self, name: &Spanned<String>) -> Option<Arc<str>> {
        match name.value.as_str() {
            "small" | "large" => Some(name.value.as_str().into()),
            _ => self.refuse(name.place(), "unknown-model", "no such model"),
        }
    }
    fn collection(&mut self, name: &Spanned<String>) -> Option<Arc<str>> {
        Some(name.value.as_str().into())
    }
    fn topic(&mut self, name: &Spanned<String>) -> Option<Arc<str>> {
        Some(name.value.as_str().into())
    }
    fn url(&mut self, url: &Spanned<String>) -> Option<Template> {
        Template::compile(&url.value).ok()
    }
    fn error(&mut self, place: Place, code: &'static str, message: String, _: Option<String>) {
        self.problems.push((code, place, message));
    }
    fn stage(&self) -> Arc<str> {
        "the_stage".into()
    }
}

#[track_caller]
fn spec(text: &str) -> StageSpec {
    let (spec, found) = yaml::parse(&"stage.yaml".into(), text);
    spec.unwrap_or_else(|| panic!("{found:?}"))
}

#[track_caller]
fn checked(text: &str) -> StageKind {
    let mut desk = TestDesk::default();
    let kind = spec(text).check(&mut desk);
    assert!(desk.problems.is_empty(), "{:?}", desk.problems);
    kind.expect("a kind without problems")
}

/// The codes and lines of everything that is wrong.
#[track_caller]
fn problems(text: &str) -> Vec<(&'static str, u32)> {
    let mut desk = TestDesk::default();
    let kind = spec(text).check(&mut desk);
    assert!(kind.is_none(), "nothing was wrong");
    desk.problems.iter().map(|(code, place, _)| (*code, place.line)).collect()
}

type Script = VecDeque<Result<ChatReply, ModelError>>;

/// Answers from a script and keeps what it was asked.
#[derive(Default)]
struct Scripted {
    script: Mutex<Script>,
    asked: Mutex<Vec<(ChatRequest, u32)>>,
    embedded: Mutex<Vec<EmbedRequest>>,
}

#[async_trait]
impl Model for Scripted {
    async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatReply, ModelError> {
        self.asked.lock().unwrap().push((request.clone(), call.attempt));
        self.script.lock().unwrap().pop_front().expect("a scripted answer")
    }
    async fn embed(&self, request: &EmbedRequest, _: &Call) -> Result<Vec<Vec<f32>>, ModelError> {
        self.embedded.lock().unwrap().push(request.clone());
        Ok(request.texts.iter().map(|text| vec![text.len() as f32, 0.25]).collect())
    }
}

fn answer(text: &str) -> Result<ChatReply, ModelError> {
    ended(text, "stop")
}

fn ended(text: &str, finish_reason: &str) -> Result<ChatReply, ModelError> {
    let finish_reason = finish_reason.to_owned();
    Ok(ChatReply { text: text.to_owned(), finish_reason, simulated: true })
}

/// Keeps attempts; never short of money.
#[derive(Default)]
struct Books(Mutex<Vec<Attempt>>);

impl Meter for Books {
    fn record(&self, attempt: Attempt) {
        self.0.lock().unwrap().push(attempt);
    }
}

impl Purse for Books {
    fn reserve(&self, ceiling: Money) -> Result<Hold, OverBudget> {
        Ok(Hold(ceiling))
    }
    fn settle(&self, _: Hold, _: Money) {}
    fn limited(&self) -> bool {
        false
    }
}

fn call_of(item: Option<u32>, books: &Arc<Books>) -> Call {
    Call {
        key: StageKey {
            event: EventId::new("cluster", "tickets", 0, 7, 1_700_000_000_000),
            stage: "the_stage".into(),
            item,
        },
        attempt: 1,
        deadline: Instant::now() + Duration::from_secs(10),
        tenant: "acme".into(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        meter: books.clone(),
        purse: books.clone(),
        journal: Arc::default(),
        halt: Arc::default(),
    }
}

fn wiring(model: &Arc<Scripted>, collections: Collections) -> Wiring {
    let named = |name: &str| (Arc::from(name), model.clone() as Arc<dyn Model>);
    Wiring {
        models: HashMap::from([named("small"), named("large")]),
        collections: Arc::new(collections),
        http: Http::new(Arc::new(SystemClock)),
    }
}

fn build(kind: &StageKind, wiring: &Wiring) -> Box<dyn Stage> {
    let seat = Seat { pipeline: "triage".into(), stage: "the_stage".into() };
    kind.build(&seat, wiring).expect("everything is wired")
}

fn scope() -> minijinja::Value {
    from_json(&json!({
        "event": { "text": "my invoice is wrong", "id": 17, "tags": ["a", "b"], "evil": "../admin" },
        "record": { "key": "customer-9" },
        "vector": [0.5, -1.0],
        "attributes": { "colour": "red" },
        "nothing": null,
    }))
}

/// Runs a stage that asks models from a script, outside any fan-out.
async fn run(text: &str, script: Vec<Result<ChatReply, ModelError>>) -> Run {
    let model = Arc::new(Scripted { script: Mutex::new(script.into()), ..Scripted::default() });
    let stage = build(&checked(text), &wiring(&model, Collections::default()));
    let books = Arc::new(Books::default());
    let outcome = stage.run(&scope(), &call_of(None, &books)).await;
    Run { outcome, model }
}

struct Run {
    outcome: Result<Reply, StageError>,
    model: Arc<Scripted>,
}

impl Run {
    #[track_caller]
    fn value(self) -> Value {
        self.outcome.expect("a value").value
    }
    #[track_caller]
    fn error(&self) -> &StageError {
        self.outcome.as_ref().expect_err("an error")
    }
}
