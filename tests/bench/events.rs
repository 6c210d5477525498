//! The events of a measurement and what comes of them, written and read as their topics' settings say.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use vivremotion::base::clock::parse_time;
use vivremotion::codec::{Codec, Codecs, Content};
use vivremotion::stream::{Output, Record};

use crate::plan::Plan;

/// Bytes of an event's value.
const SIZE: usize = 1024;
/// So many events in a row go to one topic: a sender that has to find out about a thousand topics at once gives up on some.
const IN_A_ROW: usize = 20;

/// See the module.
#[derive(Clone)]
pub struct Events {
    /// Each in turn.
    sources: Arc<[Arc<str>]>,
    keys: Option<usize>,
    events: Arc<dyn Codec>,
    results: Arc<dyn Codec>,
    /// What makes an event as long as it should be.
    fill: Arc<str>,
}

impl Events {
    /// Those of a job of that name; the schema of its events is registered.
    pub async fn prepare(plan: &Plan, name: &str, codecs: &Codecs) -> Events {
        let sources: Arc<[Arc<str>]> = plan.sources(name).into_iter().map(Arc::from).collect();
        for source in &*sources {
            codecs.prepare(source, Content::Request, true).await.unwrap();
        }
        let (first, results) = (&sources[0], codecs.for_topic(&format!("{name}.out")));
        let events = codecs.for_topic(first);
        let bare = events.encode(&event(1_000_000, "")).await.unwrap();
        let fill = "lorem ipsum dolor ".chars().cycle().take(SIZE - bare.len()).collect::<String>();
        Events { keys: plan.keys, events, results, fill: fill.into(), sources }
    }

    /// The topic of the events; of several, the first.
    pub fn source(&self) -> &Arc<str> {
        &self.sources[0]
    }

    /// Events with these numbers. The key is the number, or what is left of it when it is divided by how many keys there
    /// are.
    pub async fn outputs(&self, numbers: Range<usize>, timestamp: Option<i64>) -> Vec<Output> {
        let mut outputs = Vec::with_capacity(numbers.len());
        for n in numbers {
            let key = self.keys.map_or(n, |keys| n % keys);
            outputs.push(Output {
                topic: Arc::clone(&self.sources[n / IN_A_ROW % self.sources.len()]),
                partition: None,
                key: Some(Bytes::from(key.to_string())),
                value: Some(self.events.encode(&event(n, &self.fill)).await.unwrap()),
                headers: Vec::new(),
                timestamp,
            });
        }
        outputs
    }

    /// A result.
    pub async fn value(&self, record: &Record) -> Value {
        self.results.decode(record.value.as_ref().unwrap()).await.unwrap()
    }
}

fn event(n: usize, fill: &str) -> Value {
    json!({
        "id": n.to_string(),
        "source": "bench",
        "type": "vivremotion.request",
        "input": { "text": format!("What is the number of order {n}? {fill}") },
    })
}

/// The number of the event that a result answers, where each has a key of its own.
pub fn number(result: &Record) -> usize {
    let key = result.key.as_ref().and_then(|key| std::str::from_utf8(key).ok());
    key.unwrap().parse().unwrap()
}

/// A time in a result, in seconds since the epoch.
pub fn seconds(time: &Value) -> f64 {
    parse_time(time.as_str().unwrap()).unwrap() as f64 / 1e3
}
