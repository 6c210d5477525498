//! What is measured: an engine's settings and its pipelines, on a log of choice.

use std::path::Path;

use vivremotion::codec::Format;

/// Which log.
#[derive(Clone)]
pub enum Place {
    /// One file, with the schemas in it.
    Local,
    /// A broker, and a registry beside it.
    Kafka {
        /// `host:port`.
        brokers: String,
        /// Its base URL.
        registry: String,
    },
}

/// What is measured.
#[derive(Clone)]
pub struct Plan {
    /// Which log.
    pub place: Place,
    /// Of events, results and costs.
    pub format: Format,
    /// `commit_interval`, on Kafka.
    pub commit: &'static str,
    /// `guarantee`, on Kafka.
    pub guarantee: &'static str,
    /// Partitions of the topics on Kafka.
    pub partitions: i32,
    /// Pipelines of one group, each with a topic of its own.
    pub pipelines: usize,
    /// How many keys the events have; none gives each its own.
    pub keys: Option<usize>,
    /// Settings of the topics on Kafka.
    pub topics: &'static [(&'static str, &'static str)],
    /// Events that run at a time.
    pub permits: usize,
    /// The model `small`.
    pub model: &'static str,
    /// From `stages:` on; `MODELS` is where the models are served.
    pub stages: &'static str,
    /// Keys of the sink beside its topic, which is called `OUT`.
    pub sink: &'static str,
}

impl Plan {
    /// One model call over HTTP for each event of Avro, exactly once, 1,000 at a time.
    pub fn new(place: &Place) -> Plan {
        Plan {
            place: place.clone(),
            format: Format::Avro,
            commit: "100ms",
            guarantee: "exactly_once",
            partitions: 12,
            pipelines: 1,
            keys: None,
            topics: &[],
            permits: 1_000,
            model: "mock/small",
            stages: "stages:\n  answer:\n    generate: { model: small, prompt: \"{{ event.input.text }}\" }\n",
            sink: "outputs: [answer]",
        }
    }

    /// The topics that events come from, of a job of that name.
    pub fn sources(&self, name: &str) -> Vec<String> {
        (0..self.pipelines).map(|n| format!("{name}.in-{n}")).collect()
    }

    /// Where cost events go.
    pub fn costs(&self, name: &str) -> String {
        match self.place {
            Place::Local => "vivremotion.costs".to_owned(),
            Place::Kafka { .. } => format!("{name}.costs"),
        }
    }

    /// The settings file: models at `models`, metrics and probes at `port`, its own files in `state`.
    pub fn settings(&self, name: &str, models: &str, port: u16, state: &Path) -> String {
        let log = match &self.place {
            Place::Local => String::new(),
            // Pipelines of one group may share their dead letters too.
            Place::Kafka { brokers, registry } => format!(
                "log:\n  kafka:\n    brokers: \"{brokers}\"\n    group_prefix: {name}\n    create: true\n    \
                 commit_interval: {}\n    guarantee: {}\n    \
                 names: {{ costs: {name}.costs, dead_letters: {name}.dlq }}\n    \
                 instance: one\n    client: {{ session.timeout.ms: 6000 }}\n\
                 registry: {{ http: {{ url: \"{registry}\" }} }}\n",
                self.commit, self.guarantee
            ),
        };
        let mut topics = String::new();
        if self.format == Format::Avro {
            topics.push_str("topics:\n");
            let written = [format!("{name}.out"), self.costs(name)];
            for topic in self.sources(name).iter().chain(&written) {
                topics.push_str(&format!("  {topic}: {{ value: avro }}\n"));
            }
        }
        format!(
            "vivremotion: 1\n{log}{topics}\
             providers: {{ mock: {{ dialect: openai, base_url: \"{models}/v1\", max_in_flight: 20000 }} }}\n\
             models: {{ small: \"{model}\", slow: simulated/m+slow-2s }}\n\
             prices: {{ \"{model}\": [ {{ from: 2026-01-01, input: 1.00 USD, output: 2.00 USD }} ] }}\n\
             engine: {{ permits: {permits} }}\n\
             state: {state}\n\
             server: {{ listen: \"127.0.0.1:{port}\" }}\n",
            model = self.model,
            permits = self.permits,
            state = state.display()
        )
    }

    /// The pipelines, one for each source.
    pub fn pipelines(&self, name: &str, models: &str) -> Vec<String> {
        let stages = self.stages.replace("MODELS", models);
        let sink = self.sink.replace("OUT", &format!("{name}.out"));
        let pipeline = |(n, source): (usize, String)| {
            format!(
                "vivremotion: 1\npipeline: bench-{n}\ngroup: {name}.bench\n\
                 source: {{ topic: {source}, from: earliest }}\n{stages}\
                 sink: {{ topic: {name}.out, {sink} }}\n"
            )
        };
        self.sources(name).into_iter().enumerate().map(pipeline).collect()
    }
}
