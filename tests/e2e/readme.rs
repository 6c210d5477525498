//! What the README shows, done as it is written.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::FutureExt;

use crate::services::{Kept, Need, free_port, http_get, until};
use crate::story::{Story, World};

const WAIT: Duration = Duration::from_secs(60);

/// This file's stories.
pub fn stories() -> Vec<Story> {
    vec![
        Story {
            name: "the_readmes_tour_goes_as_it_says",
            needs: &[],
            run: |world| tour(world).boxed_local(),
        },
        Story {
            name: "the_readmes_way_to_kafka_and_its_python_example_work_as_written",
            needs: &[Need::OwnKafka, Need::OwnRegistry, Need::OwnQdrant, Need::Python],
            run: |world| kafka(world).boxed_local(),
        },
    ]
}

fn readme() -> String {
    std::fs::read_to_string("README.md").unwrap()
}

/// The lines of its shell blocks that start so, without that start.
fn commands(start: &str) -> Vec<String> {
    readme().lines().filter_map(|line| line.strip_prefix(start)).map(str::to_owned).collect()
}

/// The first block of a language after a text.
fn block(after: &str, language: &str) -> String {
    let readme = readme();
    let (_, rest) = readme.split_once(after).unwrap();
    let (_, rest) = rest.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// A command of the README, as a shell reads it.
fn shell(world: &World, arguments: &str) -> Command {
    let mut command = Command::new("sh");
    let product = env!("CARGO_BIN_EXE_vivremotion");
    // `exec`, so that the process that is kept is the product's.
    command.arg("-c").arg(format!("exec '{product}' {arguments}"));
    command.current_dir(world.dir()).env("NO_COLOR", "1").env("OPENAI_API_KEY", "sk-of-nobody");
    command
}

/// The repository's folders where a user would have them.
fn checkout(world: &World) {
    for folder in ["pipelines", "schemas"] {
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), world.dir().join(folder))
            .unwrap();
    }
}

/// Waits until a command has printed a text.
fn printed(kept: &mut Kept, text: &str) {
    let found = until(WAIT, || match (kept.out().contains(text), kept.ended()) {
        (true, _) => Ok(Ok(())),
        (false, Some(status)) => Ok(Err(format!("it ended with {status}"))),
        (false, None) => Err(format!("`{text}` was not printed")),
    });
    found.and_then(|inner| inner).unwrap_or_else(|e| panic!("{e}\n{}", kept.last_words()));
}

async fn tour(world: &World) {
    checkout(world);
    let shown = commands("cargo run --release -- ");
    let [dev, send, tail] = shown.as_slice() else { panic!("{shown:?}") };
    let begun = Instant::now();
    let mut tour = Kept::start(&shell(world, dev), &world.dir().join("dev")).unwrap();
    printed(&mut tour, "completed");
    eprintln!("first result of the tour after {:.1?}", begun.elapsed());
    for pipeline in ["support-triage", "sensor-watch", "call-notes"] {
        printed(&mut tour, &format!("✓ {pipeline}"));
    }
    // From a second terminal, while the first keeps running.
    let output = shell(world, send).output().unwrap();
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{answer}{}", String::from_utf8_lossy(&output.stderr));
    assert!(answer.contains("charged twice") && answer.contains("[simulated"), "{answer}");
    let mut tail = Kept::start(&shell(world, tail), &world.dir().join("tail")).unwrap();
    printed(&mut tail, "charged twice");
    tour.signal("TERM");
    assert!(tour.wait(WAIT).unwrap().success(), "{}", tour.last_words());
}

async fn kafka(world: &World) {
    checkout(world);
    let (kafka, registry, qdrant) = (world.own_kafka(), world.own_registry(), world.own_qdrant());
    let mock = world.mock_models("mock", &[]);
    // As written, but for where things are.
    let key = "openai: { api_key: \"${env:OPENAI_API_KEY}\"";
    let provider = format!("{key}, base_url: \"{}\"", mock.base_url());
    let mut settings = block("## On Kafka", "yaml");
    let places = [
        ("localhost:9092", kafka.brokers()),
        ("http://localhost:8081", registry.url()),
        ("http://localhost:6334", qdrant.url()),
        (key, provider),
    ];
    for (written, here) in places {
        assert!(settings.contains(written), "the README's settings have no `{written}`");
        settings = settings.replace(written, &here);
    }
    let port = free_port();
    settings.push_str(&format!("server: {{ listen: \"127.0.0.1:{port}\" }}\n"));
    world.write("vivremotion.yaml", &settings);
    let shown = commands("vivremotion ");
    let [import, run, audits @ ..] = shown.as_slice() else { panic!("{shown:?}") };

    let output = shell(world, import).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut engine = Kept::start(&shell(world, run), &world.dir().join("engine")).unwrap();
    let ready = until(WAIT, || match engine.ended() {
        Some(status) => Ok(Err(format!("the engine ended with {status}"))),
        None => match http_get(port, "/ready")? {
            (200, _) => Ok(Ok(())),
            (_, reasons) => Err(reasons),
        },
    });
    ready.and_then(|inner| inner).unwrap_or_else(|e| panic!("{e}\n{}", engine.last_words()));

    let mut example = world.python().command();
    example.arg(world.write("example.py", &block("### From Python", "python")));
    example.current_dir(world.dir()).env("KAFKA_BROKERS", kafka.brokers());
    let mut example =
        Kept::start(example.env("REGISTRY_URL", registry.url()), &world.dir().join("py")).unwrap();
    let status = example.wait(WAIT).unwrap_or_else(|e| panic!("{e}\n{}", engine.last_words()));
    assert!(status.success(), "{}", example.last_words());
    let said = example.out();
    assert!(said.starts_with("completed {") && said.contains("'answer'"), "{said}");
    assert_eq!(audits.len(), 4, "{audits:?}");
    // Also while it runs: nothing failed, and everything adds up. (A debug build beside other tests is sent less.)
    let (load, less) = ("--rate 200 --duration 30s", "--rate 10 --duration 10s");
    assert!(audits.iter().any(|command| command.contains(load)), "{audits:?}");
    for command in audits {
        let output = shell(world, &command.replace(load, less)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let expected = match command.starts_with("bench ") {
            true => "100 of 100 events in 10 s on the kafka log: ",
            false => "support-triage  ",
        };
        assert!(said.starts_with(expected) && !said.contains('✗'), "{said}");
    }
    engine.signal("TERM");
    assert!(engine.wait(WAIT).unwrap().success(), "{}", engine.last_words());
}
