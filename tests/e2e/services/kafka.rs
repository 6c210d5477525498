//! Apache Kafka: one node that is broker and controller, from the jars that Maven brings. It keeps its data over a
//! restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::parts::{Recipe, fixture, jars, step};
use super::server::{Server, fresh};
use super::{Missing, ports};

const PART: Recipe = Recipe {
    name: "kafka",
    inputs: &["kafka/pom.xml"],
    tools: &["java", "mvn"],
    make: |dir| jars("kafka/pom.xml", dir),
};

/// Options of a broker's Java in a test, which lasts for minutes: it starts fast with the first compiler only.
pub const BRIEF: &[&str] = &["-XX:TieredStopAtLevel=1"];

/// A broker.
pub struct Kafka {
    options: &'static [&'static str],
    jars: PathBuf,
    dir: PathBuf,
    server: Server,
    /// A second door, which is announced under another port than it has.
    side: Option<(u16, u16)>,
}

impl Kafka {
    /// The jars, obtained when not there.
    pub fn obtain() -> Result<PathBuf, Missing> {
        PART.obtain().map_err(Missing::Part)
    }

    /// A fresh broker with its data in `dir`. With a second door at the first port of `side`, its clients there are told to
    /// come to the second: there is a proxy.
    pub fn start(
        dir: &Path,
        side: Option<(u16, u16)>,
        options: &'static [&'static str],
    ) -> Result<Kafka, Missing> {
        let jars = Self::obtain()?;
        fresh(|| {
            let server = Server::new("broker", dir);
            let (jars, dir) = (jars.clone(), dir.to_owned());
            let kafka = Kafka { options, jars, dir, server, side };
            kafka.prepare()?;
            kafka.up().map(|()| kafka)
        })
    }

    /// `host:port`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    /// Kills it with no chance to tidy up.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again with the data it had, at the same address.
    pub fn restart(&self) {
        self.kill();
        self.up().expect("a broker that started once starts again");
    }

    /// `STOP` makes a broker that does not answer, `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        self.server.signal(name);
    }

    /// Writes the settings and formats an empty data directory.
    fn prepare(&self) -> Result<(), String> {
        let data = self.dir.join("data");
        if data.exists() {
            fs::remove_dir_all(&data).map_err(|e| e.to_string())?;
        }
        let template = fs::read_to_string(fixture("kafka/server.properties"));
        let mut template = template.map_err(|e| e.to_string())?;
        if let Some((door, proxy)) = self.side {
            template += &second_door(door, proxy);
        }
        let settings = template
            .replace("@DATA@", &data.display().to_string())
            .replace("@PORT@", &self.server.port().to_string())
            .replace("@CONTROLLER_PORT@", &ports::free().to_string());
        fs::write(self.settings(), settings).map_err(|e| e.to_string())?;
        let cluster = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let mut format = self.java("kafka.tools.StorageTool");
        format.args(["format", "--cluster-id", &cluster, "--config"]).arg(self.settings());
        step(&mut format, &self.dir)
    }

    fn up(&self) -> Result<(), String> {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            // That a broker which is starting refuses connections is no news.
            .set("log_level", "0")
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .map_err(|e| e.to_string())?;
        let mut command = self.java("kafka.Kafka");
        command.arg(self.settings());
        self.server.up(&command, || match client.fetch_metadata(None, Duration::from_millis(500)) {
            Ok(found) if !found.brokers().is_empty() => Ok(()),
            Ok(_) => Err("it does not know itself yet".to_owned()),
            Err(error) => Err(format!("it does not answer: {error}")),
        })
    }

    fn settings(&self) -> PathBuf {
        self.dir.join("server.properties")
    }

    fn java(&self, class: &str) -> Command {
        let logging = fixture("kafka/log4j2.properties");
        let mut java = Command::new("java");
        java.args(["-Xmx512m", "-XX:+UseSerialGC"]).args(self.options);
        java.arg(format!("-Dlog4j.configurationFile={}", logging.display()));
        java.arg("-cp").arg(self.jars.join("*")).arg(class);
        java
    }
}

/// Of two settings of one name the later holds.
fn second_door(door: u16, proxy: u16) -> String {
    format!(
        "listeners=PLAINTEXT://127.0.0.1:@PORT@,SIDE://127.0.0.1:{door},CONTROLLER://127.0.0.1:@CONTROLLER_PORT@\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:@PORT@,SIDE://127.0.0.1:{proxy}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SIDE:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
    )
}
