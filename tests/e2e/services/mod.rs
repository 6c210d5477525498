//! Real services for the stories: a Kafka broker, a schema registry, Qdrant, and a Python with Kafka's client in it.
//! Each is obtained once (see [`parts`]), started once per run on free ports with data of its own, and ended whatever
//! happens to the run (see [`keep`]). A story that kills a service starts one of its own.

use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

mod keep;
pub mod parts;
mod ports;
mod server;
mod wait;

mod kafka;
mod python;
mod qdrant;
mod registry;

pub use kafka::{BRIEF, Kafka};
pub use keep::{Kept, keep_command};
pub use ports::free as free_port;
pub use python::Python;
pub use qdrant::Qdrant;
pub use registry::Registry;
pub use wait::{http_get, until};

/// Something a story needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// One Apache Kafka broker.
    Kafka,
    /// A Confluent-compatible schema registry.
    Registry,
    /// Qdrant's engine behind its gRPC interface.
    Qdrant,
    /// Python with `confluent-kafka`.
    Python,
    /// What [`Kafka::start`] needs, for a story that starts its own.
    OwnKafka,
    /// What [`Registry::start`] needs.
    OwnRegistry,
    /// What [`Qdrant::start`] needs.
    OwnQdrant,
}

/// Why something is not there.
#[derive(Clone, Debug)]
pub enum Missing {
    /// This machine lacks what is needed to obtain it.
    Part(String),
    /// It was obtained, and did not start.
    Start(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Part(reason) | Missing::Start(reason) => f.write_str(reason),
        }
    }
}

/// The services of one run, each started when first needed.
pub struct Services {
    options: &'static [&'static str],
    kafka: OnceLock<Result<Kafka, Missing>>,
    registry: OnceLock<Result<Registry, Missing>>,
    qdrant: OnceLock<Result<Qdrant, Missing>>,
    python: OnceLock<Result<Python, Missing>>,
    // Last: the services above still write to it while they end.
    run: parts::RunDir,
}

impl Services {
    /// None started yet; a broker's Java gets these options.
    pub fn new(options: &'static [&'static str]) -> Services {
        Services {
            options,
            kafka: OnceLock::new(),
            registry: OnceLock::new(),
            qdrant: OnceLock::new(),
            python: OnceLock::new(),
            run: parts::RunDir::new(),
        }
    }

    /// An empty directory that goes with the run.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.run.dir(name)
    }

    /// Starts all of `needs` at the same time; says what of it is not there.
    pub fn ensure(&self, needs: &[Need]) -> Result<(), Missing> {
        std::thread::scope(|scope| {
            let starts: Vec<_> = needs.iter().map(|n| scope.spawn(|| self.start(*n))).collect();
            starts.into_iter().try_for_each(|start| match start.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    fn start(&self, need: Need) -> Result<(), Missing> {
        fn state<T>(service: &Result<T, Missing>) -> Result<(), Missing> {
            service.as_ref().map(|_| ()).map_err(Missing::clone)
        }
        match need {
            Need::Kafka => state(
                self.kafka.get_or_init(|| Kafka::start(&self.dir("kafka"), None, self.options)),
            ),
            Need::Registry => {
                state(self.registry.get_or_init(|| Registry::start(&self.dir("registry"))))
            }
            Need::Qdrant => state(self.qdrant.get_or_init(|| Qdrant::start(&self.dir("qdrant")))),
            Need::Python => state(self.python.get_or_init(Python::obtain)),
            Need::OwnKafka => Kafka::obtain().map(drop),
            Need::OwnRegistry => Registry::obtain().map(drop),
            Need::OwnQdrant => Qdrant::obtain().map(drop),
        }
    }

    /// The run's broker.
    pub fn kafka(&self) -> &Kafka {
        there(self.kafka.get(), Need::Kafka)
    }

    /// The run's registry.
    pub fn registry(&self) -> &Registry {
        there(self.registry.get(), Need::Registry)
    }

    /// The run's Qdrant.
    pub fn qdrant(&self) -> &Qdrant {
        there(self.qdrant.get(), Need::Qdrant)
    }

    /// The run's Python.
    pub fn python(&self) -> &Python {
        there(self.python.get(), Need::Python)
    }
}

fn there<T>(service: Option<&Result<T, Missing>>, need: Need) -> &T {
    match service {
        Some(Ok(service)) => service,
        Some(Err(_)) | None => panic!("the story uses {need:?} and does not say that it needs it"),
    }
}
